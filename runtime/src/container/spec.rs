//! From an image's config and the user's settings to a sandbox. Pure: whatever comes from the disk is given.

use rbuild_image::config::ContainerConfig;

use super::command;
use super::environment::environment;
use super::error::ContainerError;
use super::host::Host;
use super::id::ContainerId;
use super::settings::RunSettings;
use crate::sandbox::{Init, Mount, MountSource, Network, Privilege, Rootfs, Spec};
use crate::tty::our_window_size;

/// Docker's size of /dev/shm in bytes.
const SHM_SIZE: u64 = 64 << 20;
/// Docker's permissions of a `--tmpfs`.
const TMPFS_MODE: u32 = 0o1777;

/// Everything that a sandbox follows from.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) id: &'a ContainerId,
    pub(super) image: &'a ContainerConfig,
    pub(super) settings: &'a RunSettings,
    pub(super) host: &'a Host,
    pub(super) rootfs: Rootfs,
    /// Volumes with their places on the disk.
    pub(super) volumes: Vec<Mount>,
}

/// The sandbox as docker would have it.
pub(super) fn spec(facts: Facts<'_>) -> Result<Spec, ContainerError> {
    let Facts { id, image, settings, host, rootfs, volumes } = facts;
    let hostname = hostname(id, settings, host);
    let workdir = settings.workdir.as_ref().unwrap_or(&image.working_dir);
    let mut mounts = identity_files(&hostname, host);
    // Later ones win where two have one target: docker's own files, then tmpfs, then volumes.
    mounts.extend(settings.tmpfs.iter().map(|tmpfs| Mount {
        target: tmpfs.target.clone(),
        source: MountSource::Tmpfs { size: tmpfs.size, mode: tmpfs.mode.unwrap_or(TMPFS_MODE) },
        readonly: tmpfs.readonly,
        remove_stub: false,
    }));
    mounts.extend(volumes);
    Ok(Spec {
        argv: command::argv(image, settings)?,
        env: environment(image, settings, &hostname),
        workdir: if workdir.is_empty() { "/".to_owned() } else { workdir.clone() },
        user: settings.user.as_ref().unwrap_or(&image.user).clone(),
        extra_groups: settings.extra_groups.clone(),
        hostname,
        rootfs,
        mounts,
        network: settings.network,
        privilege: privilege(settings),
        init: if settings.init { Init::Reaper } else { Init::Program },
        terminal: settings.tty.then(our_window_size),
        readonly_rootfs: settings.read_only,
        shm_size: settings.shm_size.unwrap_or(SHM_SIZE),
        ulimits: settings.ulimits.clone(),
    })
}

fn hostname(id: &ContainerId, settings: &RunSettings, host: &Host) -> String {
    match (&settings.hostname, settings.network) {
        (Some(name), _) => name.clone(),
        (None, Network::Host) => host.hostname.clone(),
        (None, Network::None) => id.short().to_owned(),
    }
}

fn privilege(settings: &RunSettings) -> Privilege {
    if settings.privileged {
        return Privilege::All;
    }
    Privilege::Default {
        add: settings.cap_add.clone(),
        drop: settings.cap_drop.clone(),
        no_new_privileges: settings.no_new_privileges,
    }
}

/// Writable, as docker's are, and of no effect on anybody else.
fn identity_files(hostname: &str, host: &Host) -> Vec<Mount> {
    let file = |target: &str, data: &[u8]| Mount {
        target: target.to_owned(),
        source: MountSource::File { data: data.to_vec(), mode: 0o644, uid: 0, gid: 0 },
        readonly: false,
        remove_stub: false,
    };
    vec![
        file("/etc/hostname", format!("{hostname}\n").as_bytes()),
        file("/etc/hosts", &host.hosts),
        file("/etc/resolv.conf", &host.resolv_conf),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Tmpfs;

    fn spec_of(image: &ContainerConfig, settings: &RunSettings, volumes: Vec<Mount>) -> Spec {
        let host = Host { hostname: "box".into(), hosts: b"hosts".to_vec(), resolv_conf: b"dns".to_vec() };
        let id = ContainerId::of(&[0xab; 32]);
        let rootfs = Rootfs::Dir("/r".into());
        spec(Facts { id: &id, image, settings, host: &host, rootfs, volumes }).unwrap()
    }

    fn image() -> ContainerConfig {
        ContainerConfig {
            cmd: vec!["sh".into()],
            user: "app:web".into(),
            working_dir: "/srv".into(),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn the_image_speaks_where_the_user_does_not() {
        let spec = spec_of(&image(), &RunSettings::default(), Vec::new());
        assert_eq!((spec.user.as_str(), spec.workdir.as_str()), ("app:web", "/srv"));
        assert_eq!((spec.hostname.as_str(), spec.network), ("box", Network::Host));
        assert_eq!((spec.init, spec.terminal.is_some(), spec.readonly_rootfs), (Init::Program, false, false));
        assert_eq!(spec.shm_size, 64 << 20);
        let files: Vec<_> = spec.mounts.iter().map(|mount| (mount.target.as_str(), mount.readonly)).collect();
        assert_eq!(files, [("/etc/hostname", false), ("/etc/hosts", false), ("/etc/resolv.conf", false)]);
        let bare = ContainerConfig { cmd: vec!["sh".into()], ..ContainerConfig::default() };
        assert_eq!(spec_of(&bare, &RunSettings::default(), Vec::new()).workdir, "/");
    }

    #[test]
    fn the_user_wins() {
        let settings = RunSettings {
            user: Some("0".into()),
            workdir: Some("/w".into()),
            network: Network::None,
            init: true,
            tty: true,
            read_only: true,
            shm_size: Some(1),
            cap_add: vec!["NET_ADMIN".into()],
            cap_drop: vec!["ALL".into()],
            no_new_privileges: true,
            extra_groups: vec!["7".into()],
            ..RunSettings::default()
        };
        let spec = spec_of(&image(), &settings, Vec::new());
        assert_eq!((spec.user.as_str(), spec.workdir.as_str()), ("0", "/w"));
        assert_eq!((spec.hostname.as_str(), spec.network), ("abababababab", Network::None));
        assert_eq!((spec.init, spec.terminal.is_some(), spec.readonly_rootfs), (Init::Reaper, true, true));
        assert_eq!((spec.shm_size, spec.extra_groups), (1, vec!["7".to_owned()]));
        let default = Privilege::Default {
            add: vec!["NET_ADMIN".into()],
            drop: vec!["ALL".into()],
            no_new_privileges: true,
        };
        assert_eq!(spec.privilege, default);
        let settings = RunSettings { privileged: true, hostname: Some("me".into()), ..settings };
        let spec = spec_of(&image(), &settings, Vec::new());
        assert_eq!((spec.privilege, spec.hostname.as_str()), (Privilege::All, "me"));
        assert!(spec.env.contains(&("HOSTNAME".to_owned(), "me".to_owned())));
    }

    #[test]
    fn volumes_come_last_so_that_they_win() {
        let tmpfs = Tmpfs { target: "/t".into(), size: Some(9), mode: None, readonly: false };
        let settings = RunSettings { tmpfs: vec![tmpfs], ..RunSettings::default() };
        let volume = Mount {
            target: "/etc/hosts".into(),
            source: MountSource::Bind("/h".into()),
            readonly: true,
            remove_stub: false,
        };
        let spec = spec_of(&image(), &settings, vec![volume]);
        let targets: Vec<_> = spec.mounts.iter().map(|mount| mount.target.as_str()).collect();
        assert_eq!(targets, ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/t", "/etc/hosts"]);
        assert!(matches!(spec.mounts[3].source, MountSource::Tmpfs { size: Some(9), mode: 0o1777 }));
    }
}
