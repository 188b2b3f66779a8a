//! `/dev`: a small tmpfs with the devices that every container has (spec 6.7).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, makedev};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::{mount, place};
use crate::sandbox::error::Failure;

/// Character devices: name, major, minor.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// What whoever may do everything has besides, as far as the host has it (spec 3.2, `--security`).
const INSECURE: [&str; 6] = ["kmsg", "cuse", "fuse", "kvm", "net/tun", "loop-control"];
/// Loop devices that are shown, from the first on.
const LOOPS: u32 = 8;

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];

/// Makes `/dev`, not attached anywhere. In a user namespace it has no nodes yet, see [`lend_nodes`].
pub(super) fn make(in_user_namespace: bool) -> Result<OwnedFd, Failure> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    let dev = mount::create("tmpfs", &[("mode", "755"), ("size", "65536k")], attributes)
        .map_err(mount::mounting("/dev"))?;
    for folder in ["pts", "shm", "mqueue"] {
        rustix::fs::mkdirat(&dev, folder, Mode::from_raw_mode(0o755))
            .map_err(|error| Failure::setup("create", format!("/dev/{folder}"), error))?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, &dev, name)
            .map_err(|error| Failure::setup("create", format!("/dev/{name}"), error))?;
    }
    if !in_user_namespace {
        for (name, major, minor) in NODES {
            let mode = Mode::from_raw_mode(0o666);
            rustix::fs::mknodat(&dev, name, FileType::CharacterDevice, mode, makedev(major, minor))
                .map_err(|error| Failure::setup("create", format!("/dev/{name}"), error))?;
        }
    }
    Ok(dev)
}

/// Nobody but the machine's root may make device nodes: the host's are lent to `/dev`, which is attached.
pub(super) fn lend_nodes(dev: &OwnedFd) -> Result<(), Failure> {
    NODES.iter().try_for_each(|(name, ..)| {
        lend(dev, name).map_err(|error| Failure::setup("create", format!("/dev/{name}"), error))
    })
}

/// Adds the host's devices for sandboxes without restrictions to `/dev` of `root`.
pub(super) fn add_insecure(root: &OwnedFd, in_user_namespace: bool) -> Result<(), Failure> {
    let dev = place::open(root, "/dev", OFlags::RDONLY | OFlags::DIRECTORY)
        .map_err(|error| Failure::setup("open", "/dev", error))?;
    let loops = (0..LOOPS).map(|number| format!("loop{number}"));
    for name in INSECURE.map(str::to_owned).into_iter().chain(loops) {
        let Ok(stat) = rustix::fs::stat(Path::new("/dev").join(&name)) else { continue };
        if let Some((folder, _)) = name.split_once('/') {
            match rustix::fs::mkdirat(&dev, folder, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Failure::setup("create", format!("/dev/{folder}"), error)),
            }
        }
        let made = if in_user_namespace {
            lend(&dev, &name)
        } else {
            let kind = FileType::from_raw_mode(stat.st_mode);
            let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
            rustix::fs::mknodat(&dev, &name, kind, mode, stat.st_rdev)
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(Failure::setup("create", format!("/dev/{name}"), error)),
        }
    }
    Ok(())
}

fn lend(dev: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    let host = mount::copy_of_path(&Path::new("/dev").join(name))?;
    attach_on_new_file(dev, name, &host)
}

/// Attaches a mount of a file at a new name of `/dev`.
pub(super) fn attach_on_new_file(dev: &OwnedFd, name: &str, mount: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::CLOEXEC;
    let point = rustix::fs::openat(dev, name, flags, Mode::from_raw_mode(0o666))?;
    mount::attach(mount.as_fd(), point.as_fd())
}
