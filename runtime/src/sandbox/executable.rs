//! The file that is executed as a sandbox's first process: rbuild, but not writable.
//!
//! A process in a sandbox can reach the executable of process 1 through `/proc/1/exe`, and, when it is root, write
//! to the host's file (CVE-2019-5736). So it gets the file through a detached, read-only clone of its mount, or,
//! where that is not allowed, a sealed copy in memory. Either is made once and kept.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::mount::OpenTreeFlags;

use super::standby::FIRST_FREE_FD;
use crate::sys::mount::mount_setattr;

static PROTECTED: Mutex<Option<&'static OwnedFd>> = Mutex::new(None);

/// The protected executable, for execveat.
pub(crate) fn protected() -> io::Result<BorrowedFd<'static>> {
    let mut protected = PROTECTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(fd) = *protected {
        return Ok(fd.as_fd());
    }
    let fd = read_only_mount().or_else(|_| sealed_copy())?;
    // The low numbers are overwritten before the exec.
    let fd = rustix::io::fcntl_dupfd_cloexec(&fd, FIRST_FREE_FD)?;
    let fd: &'static OwnedFd = Box::leak(Box::new(fd));
    *protected = Some(fd);
    Ok(fd.as_fd())
}

fn read_only_mount() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = rustix::mount::open_tree(CWD, "/proc/self/exe", flags)?;
    mount_setattr(mount.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0, false)?;
    Ok(mount)
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let source = rustix::fs::openat(CWD, "/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let copy = rustix::fs::memfd_create("rbuild", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut File::from(source), &mut copy)?;
    rustix::fs::fcntl_add_seals(&copy, all_seals())?;
    Ok(copy.into())
}

/// Nothing about the file may change any more.
pub(crate) fn all_seals() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}
