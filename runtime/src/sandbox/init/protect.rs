//! Parts of `/proc` and `/sys` that a container must not see or write (spec 6.2).

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::{mount, place};
use crate::sandbox::error::Failure;

const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Masks and write-protects what is there; `empty` is a mount that is not attached yet.
pub(super) fn apply(root: &OwnedFd, empty: &OwnedFd) -> Result<(), Failure> {
    for path in READ_ONLY {
        if let Some(point) = existing(root, path)? {
            make_read_only(&point).map_err(|error| Failure::setup("write-protect", path, error))?;
        }
    }
    let null = place::open(root, "/dev/null", OFlags::PATH)
        .map_err(|error| Failure::setup("open", "/dev/null", error))?;
    let mut empty = Empty { mount: empty, is_attached: false };
    for path in MASKED {
        if let Some(point) = existing(root, path)? {
            mask(&point, &null, &mut empty).map_err(|error| Failure::setup("mask", path, error))?;
        }
    }
    Ok(())
}

/// One empty folder serves for all.
struct Empty<'a> {
    mount: &'a OwnedFd,
    is_attached: bool,
}

fn existing(root: &OwnedFd, path: &str) -> Result<Option<OwnedFd>, Failure> {
    match place::open(root, path, OFlags::PATH) {
        Ok(point) => Ok(Some(point)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(error) => Err(Failure::setup("open", path, error)),
    }
}

fn make_read_only(point: &OwnedFd) -> std::io::Result<()> {
    let copy = mount::copy_of(point.as_fd())?;
    mount::restrict(&copy, MountAttrFlags::MOUNT_ATTR_RDONLY, false)?;
    Ok(mount::attach(copy.as_fd(), point.as_fd())?)
}

fn mask(point: &OwnedFd, null: &OwnedFd, empty: &mut Empty<'_>) -> std::io::Result<()> {
    let stat = rustix::fs::fstat(point)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        let cover = mount::copy_of(null.as_fd())?;
        mount::attach(cover.as_fd(), point.as_fd())?;
    } else if empty.is_attached {
        let cover = mount::copy_of(empty.mount.as_fd())?;
        mount::attach(cover.as_fd(), point.as_fd())?;
    } else {
        mount::attach(empty.mount.as_fd(), point.as_fd())?;
        empty.is_attached = true;
    }
    Ok(())
}
