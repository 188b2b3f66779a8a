//! What a program of a build sees: the same for a RUN and for a shell where one failed.

use rbuild_runtime::sandbox::{Init, Mount, MountSource, Network, Privilege, Rootfs, Spec};
use rbuild_runtime::tty::our_window_size;
use rbuild_runtime::ulimit::Ulimit;

use super::hosts;
use crate::key::RunNetworkKey;

/// Docker's default size of /dev/shm, in bytes.
const SHM_SIZE: u64 = 64 << 20;

/// A program and what surrounds it.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) workdir: &'a str,
    /// `user[:group]`; empty for root.
    pub(crate) user: &'a str,
    /// Name of the machine.
    pub(crate) hostname: &'a str,
    pub(crate) network: RunNetworkKey,
    pub(crate) insecure: bool,
    /// `--add-host`: names and addresses.
    pub(crate) hosts: &'a [(String, String)],
    /// A heredoc that is a program: its name and its text.
    pub(crate) script: Option<(&'a str, &'a str)>,
    pub(crate) rootfs: Rootfs,
    /// The instruction's own.
    pub(crate) mounts: Vec<Mount>,
    /// Bytes of /dev/shm; None for docker's default.
    pub(crate) shm_size: Option<u64>,
    /// `--ulimit`.
    pub(crate) ulimits: &'a [Ulimit],
    /// The program gets a terminal.
    pub(crate) terminal: bool,
}

impl World<'_> {
    /// As a sandbox.
    pub(crate) fn spec(self) -> Spec {
        let mut mounts = vec![
            file("/etc/hosts", hosts::hosts(self.hostname, self.hosts)),
            file("/etc/resolv.conf", hosts::resolv_conf()),
        ];
        mounts.extend(self.script.map(|(name, data)| script(name, data)));
        mounts.extend(self.mounts);
        Spec {
            argv: self.argv,
            env: self.env,
            workdir: self.workdir.to_owned(),
            user: self.user.to_owned(),
            extra_groups: Vec::new(),
            hostname: self.hostname.to_owned(),
            rootfs: self.rootfs,
            mounts,
            network: match self.network {
                RunNetworkKey::Host => Network::Host,
                RunNetworkKey::None => Network::None,
            },
            privilege: if self.insecure {
                Privilege::All
            } else {
                Privilege::Default { add: Vec::new(), drop: Vec::new(), no_new_privileges: false }
            },
            init: Init::Reaper,
            terminal: self.terminal.then(our_window_size),
            readonly_rootfs: false,
            shm_size: self.shm_size.unwrap_or(SHM_SIZE),
            ulimits: self.ulimits.to_vec(),
        }
    }
}

fn file(target: &str, text: String) -> Mount {
    Mount {
        target: target.into(),
        source: MountSource::File { data: text.into_bytes(), mode: 0o644, uid: 0, gid: 0 },
        readonly: true,
        remove_stub: true,
    }
}

fn script(name: &str, data: &str) -> Mount {
    Mount {
        target: format!("/dev/pipes/{name}"),
        source: MountSource::File { data: data.as_bytes().to_vec(), mode: 0o755, uid: 0, gid: 0 },
        readonly: true,
        remove_stub: false,
    }
}
