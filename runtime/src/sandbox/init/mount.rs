//! Mounts as file descriptors: made detached, then attached.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::sandbox::error::Failure;
use crate::sys::mount::mount_setattr;

pub(super) const HARDENED: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A new file system, not attached anywhere.
pub(super) fn create(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        rustix::mount::fsconfig_set_string(&context, *name, *value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A copy of what is mounted at `path` of the host, with everything below, not attached anywhere.
pub(super) fn copy_of_path(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags)
}

/// A copy of the mount that `fd` is in, from `fd` on, without mounts below.
pub(super) fn copy_of(fd: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(fd, "", flags)
}

/// Attaches a detached mount.
pub(super) fn attach(mount: BorrowedFd<'_>, point: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", point, "", flags)
}

/// Attaches a detached mount at a path of the host.
pub(super) fn attach_at_path(mount: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<()> {
    rustix::mount::move_mount(mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Adds attributes to a mount, and with `recursive` to those below.
pub(super) fn restrict(mount: &OwnedFd, attributes: MountAttrFlags, recursive: bool) -> std::io::Result<()> {
    mount_setattr(mount.as_fd(), u64::from(attributes.bits()), 0, 0, recursive)
}

/// Names the step for errors of mounting at `target`.
pub(super) fn mounting<E: Into<std::io::Error>>(target: &str) -> impl FnOnce(E) -> Failure + '_ {
    move |error| Failure::setup("mount", target, error)
}
