//! A container's folder in the store, and the lock on it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rbuild_image::store::{Store, TempDir};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::error::ContainerError;
use super::id::ContainerId;
use super::state::State;

/// Where the folders are, relative to the store.
pub(super) const ALL: &str = "containers";
pub(super) const CONFIG: &str = "config.json";
pub(super) const STATE: &str = "state.json";
pub(super) const LAYERS: &str = "layers";

/// The folder of a container that we hold.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The open folder; locked.
    dir: OwnedFd,
}

impl Folder {
    /// Gives a folder that was made in `temp` its place. It was locked there and stays so.
    pub(super) fn publish(store: &Store, temp: TempDir, id: &ContainerId) -> Result<Self, ContainerError> {
        let path = store.path().join(ALL).join(id.as_str());
        let dir = rustix::io::fcntl_dupfd_cloexec(temp.dir(), 0)
            .map_err(ContainerError::io("keep open", temp.path()))?;
        match rustix::fs::renameat(CWD, temp.path(), CWD, &path) {
            Err(Errno::NOENT) => {
                make_folder(&store.path().join(ALL))?;
                rustix::fs::renameat(CWD, temp.path(), CWD, &path)
            }
            other => other,
        }
        .map_err(ContainerError::io("make the container", &path))?;
        drop(temp);
        Ok(Self { path, dir })
    }

    /// The folder of a container, if nobody holds it; `None` if somebody does or it is gone.
    pub(super) fn hold(store: &Store, id: &ContainerId) -> Result<Option<Self>, ContainerError> {
        let path = store.path().join(ALL).join(id.as_str());
        let Some(dir) = open(&path)? else { return Ok(None) };
        match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(is_at(&dir, &path).then_some(Self { path, dir })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(ContainerError::io("lock", path)(error)),
        }
    }

    /// Whether somebody holds the folder of a container.
    pub(super) fn is_held(store: &Store, id: &ContainerId) -> Result<bool, ContainerError> {
        let path = store.path().join(ALL).join(id.as_str());
        let Some(dir) = open(&path)? else { return Ok(false) };
        match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(ContainerError::io("lock", path)(error)),
        }
    }

    /// Absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down how far the container has come; readers see the old state or this one.
    pub(super) fn set_state(&self, state: &State) -> Result<(), ContainerError> {
        const NEW: &str = "state.new";
        write(&self.dir, NEW, &state.to_bytes())
            .and_then(|()| Ok(rustix::fs::renameat(&self.dir, NEW, &self.dir, STATE)?))
            .map_err(ContainerError::io("write", self.path.join(STATE)))
    }

    /// Removes everything: one rename makes it invisible, and what a kill leaves then is swept with the store's
    /// other temporary folders.
    pub(super) fn remove(self, store: &Store) -> Result<(), ContainerError> {
        let temp = store.temp()?;
        rustix::fs::renameat(CWD, &self.path, temp.dir(), "container")
            .map_err(ContainerError::io("remove", &self.path))?;
        drop(temp);
        Ok(())
    }
}

/// A new small file in a folder that nobody else writes to.
pub(super) fn write(dir: &OwnedFd, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?;
    std::io::Write::write_all(&mut std::fs::File::from(file), bytes)
}

/// A folder of the store that may be there already.
pub(super) fn make_folder(path: &Path) -> Result<(), ContainerError> {
    match rustix::fs::mkdirat(CWD, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(ContainerError::io("make the folder", path)(error)),
    }
}

fn open(path: &Path) -> Result<Option<OwnedFd>, ContainerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(ContainerError::io("open", path)(error)),
    }
}

/// It may have been moved away while we waited for nothing but the lock.
fn is_at(dir: &OwnedFd, path: &Path) -> bool {
    let ours = rustix::fs::fstat(dir);
    let there = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    matches!((ours, there), (Ok(ours), Ok(there)) if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino))
}
