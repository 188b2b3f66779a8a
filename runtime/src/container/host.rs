//! What containers get from the host: copies of the files that say who and where it is.

use std::fs::File;
use std::io::Read;

use crate::sandbox::Network;

/// No host's file that is copied is larger; the rest is left out.
const MAX_FILE: u64 = 1 << 20;

/// As docker writes it for a container that shares no network.
const OWN_HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// The host's side of a container's `/etc`.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// The machine's name.
    pub(super) hostname: String,
    /// For `/etc/hosts`.
    pub(super) hosts: Vec<u8>,
    /// For `/etc/resolv.conf`.
    pub(super) resolv_conf: Vec<u8>,
}

impl Host {
    /// Reads what a container with this network needs. A file that is not there is empty, as for docker.
    pub(super) fn read(network: Network) -> Self {
        let hosts = match network {
            Network::Host => contents("/etc/hosts"),
            Network::None => OWN_HOSTS.into(),
        };
        Self {
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            hosts,
            resolv_conf: contents("/etc/resolv.conf"),
        }
    }
}

fn contents(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What could be read is better than nothing: a container can live without.
        let _ = file.take(MAX_FILE).read_to_end(&mut bytes);
    }
    bytes
}
