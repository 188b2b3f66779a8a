//! Mount points that were made for a sandbox and must not stay (spec 6.9).

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::spec::Rootfs;

/// The stubs of one sandbox.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    root: PathBuf,
    paths: Vec<String>,
}

impl Stubs {
    /// `paths` are relative to the rootfs, resolved, parents before children. The rootfs's changes are looked at
    /// where they lie on the host, since the sandbox's mounts are gone by then.
    pub(crate) fn new(rootfs: &Rootfs, paths: Vec<String>) -> Self {
        let root = match rootfs {
            Rootfs::Overlay { upper, .. } => upper.clone(),
            Rootfs::Dir(dir) => dir.clone(),
        };
        Self { root, paths }
    }

    /// There are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Removes those that are still empty, the deepest first, and gives each parent the times back that it had
    /// just before.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        let mut paths = std::mem::take(&mut self.paths);
        if paths.is_empty() {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, &self.root, flags, Mode::empty())?;
        paths.sort_by_key(|path| std::cmp::Reverse(path.split('/').count()));
        paths.iter().try_for_each(|path| remove_stub(&root, Path::new(path)))
    }
}

fn remove_stub(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    // The program may have put anything in the place of a parent; a symlink there is not ours to follow.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match rustix::fs::openat2(root, parent, flags, Mode::empty(), resolve) {
        Ok(parent) => parent,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let before = rustix::fs::fstat(&parent)?;
    if unlink_if_empty(&parent, name)? {
        rustix::fs::futimens(&parent, &times_of(&before))?;
    }
    Ok(())
}

fn unlink_if_empty(parent: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let removed = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR),
        FileType::RegularFile if stat.st_size == 0 => rustix::fs::unlinkat(parent, name, AtFlags::empty()),
        _ => return Ok(false),
    };
    match removed {
        Ok(()) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn times_of(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).expect("nanoseconds are below a thousand million"),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
