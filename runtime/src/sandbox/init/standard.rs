//! The mounts that every sandbox has, made before there is an order and not attached anywhere yet.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use super::{devices, mount};
use crate::sandbox::error::Failure;
use crate::sandbox::message::Ground;

/// File systems of the sandbox's own. Those that its order has no place for vanish.
#[derive(Debug)]
pub(super) struct Standard {
    pub(super) proc: OwnedFd,
    pub(super) sys: OwnedFd,
    pub(super) dev: OwnedFd,
    pub(super) pts: OwnedFd,
    pub(super) shm: OwnedFd,
    pub(super) mqueue: OwnedFd,
    /// Takes the files that are given as bytes.
    pub(super) files: OwnedFd,
    /// An empty folder, to hide others.
    pub(super) empty: OwnedFd,
}

impl Standard {
    /// Makes them. From here on nothing that is mounted here is seen by the host, nor the other way round.
    pub(super) fn make(ground: &Ground) -> Result<Self, Failure> {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private)
            .map_err(|error| Failure::setup("make private", "/", error))?;
        let hardened = mount::HARDENED;
        let size = ground.shm_size.to_string();
        let shm = [("mode", "1777"), ("size", &size)];
        let unseen = [("size", "0"), ("nr_inodes", "1")];
        let files = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let empty = hardened | MountAttrFlags::MOUNT_ATTR_RDONLY;
        Ok(Self {
            proc: create("/proc", "proc", &[], hardened)?,
            sys: sys(ground).map_err(mount::mounting("/sys"))?,
            dev: devices::make(ground.in_user_namespace)?,
            pts: pts().map_err(mount::mounting("/dev/pts"))?,
            shm: create("/dev/shm", "tmpfs", &shm, hardened)?,
            mqueue: create("/dev/mqueue", "mqueue", &[], hardened)?,
            files: create("files", "tmpfs", &[("mode", "700")], files)?,
            empty: create("an empty folder", "tmpfs", &unseen, empty)?,
        })
    }
}

fn create(
    subject: &str,
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Failure> {
    mount::create(kind, options, attributes).map_err(mount::mounting(subject))
}

fn sys(ground: &Ground) -> std::io::Result<OwnedFd> {
    let readonly = MountAttrFlags::MOUNT_ATTR_RDONLY;
    let access = if ground.is_unrestricted { MountAttrFlags::empty() } else { readonly };
    match mount::create("sysfs", &[], mount::HARDENED | access) {
        // Whoever does not own the network namespace gets no sysfs of its own, but may show the host's.
        Err(Errno::PERM) => {
            let host = mount::copy_of_path(Path::new("/sys"))?;
            mount::restrict(&host, mount::HARDENED | access, true)?;
            Ok(host)
        }
        other => Ok(other?),
    }
}

fn pts() -> rustix::io::Result<OwnedFd> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let options = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    // Group 5 does not exist in a user namespace with a single id.
    mount::create("devpts", &options, attributes)
        .or_else(|_| mount::create("devpts", &options[..2], attributes))
}
