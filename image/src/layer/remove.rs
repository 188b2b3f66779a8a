//! Removing trees that somebody else filled: any depth, any mode, no symlink followed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use super::fs::names;

/// Open folders on one way down. What lies deeper is moved up first.
const MAX_OPEN: usize = 48;

/// Removes whatever is at `path` below `dir`; that nothing is there is no error.
pub(crate) fn remove_tree<P: Arg + Copy>(dir: BorrowedFd<'_>, path: P) -> Result<(), Errno> {
    match fs::unlinkat(dir, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let Some(top) = open(dir, path)? else { return Ok(()) };
    // What is moved up lies in the top folder, so it is emptied until it is empty.
    while empty(top.as_fd(), top.as_fd(), 0)? {
        fs::seek(&top, fs::SeekFrom::Start(0))?;
    }
    match fs::unlinkat(dir, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Empties a folder; true when something was moved to `top` on the way.
fn empty(top: BorrowedFd<'_>, dir: BorrowedFd<'_>, depth: usize) -> Result<bool, Errno> {
    let mut moved = false;
    for (name, kind) in names(dir)? {
        if kind != FileType::Directory {
            match fs::unlinkat(dir, &*name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                // The listing did not say what it is.
                Err(Errno::ISDIR | Errno::PERM) if kind == FileType::Unknown => {}
                Err(error) => return Err(error),
            }
        }
        if depth >= MAX_OPEN {
            writable(dir, &name)?;
            move_up(dir, &name, top)?;
            moved = true;
            continue;
        }
        let Some(below) = open(dir, &*name)? else { continue };
        moved |= empty(top, below.as_fd(), depth + 1)?;
        match fs::unlinkat(dir, &*name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// Opens a folder that is to be emptied, giving ourselves the right to it where its mode refuses.
fn open<P: Arg + Copy>(dir: BorrowedFd<'_>, name: P) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match fs::openat(dir, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            fs::chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
            fs::openat(dir, name, flags, Mode::empty())
        }
        other => other,
    };
    match opened {
        Ok(folder) => {
            if rustix::process::geteuid().as_raw() != 0 {
                fs::fchmod(&folder, Mode::RWXU)?;
            }
            Ok(Some(folder))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn move_up(dir: BorrowedFd<'_>, name: &std::ffi::CStr, top: BorrowedFd<'_>) -> Result<(), Errno> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let free = format!(".moved-{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        match fs::renameat(dir, name, top, free) {
            // The tree may have such a name itself.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            other => return other,
        }
    }
}

/// Moving a folder changes its `..`, for which its owner needs the right to write.
fn writable(dir: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<(), Errno> {
    if rustix::process::geteuid().as_raw() == 0 {
        return Ok(());
    }
    fs::chmodat(dir, name, Mode::RWXU, AtFlags::empty())
}
