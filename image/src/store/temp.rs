//! Folders in the making. A process that is working on one holds a lock on it; one that nobody holds is swept away.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::files::unique;
use super::{Store, StoreError};
use crate::layer::remove_tree;

/// A folder of the store's own file system that vanishes when this is dropped, and after a crash with the next
/// sweep. What is made in it can be moved to its place in the store by a rename.
#[derive(Debug)]
pub struct TempDir {
    store: Store,
    name: String,
    dir: OwnedFd,
}

impl Store {
    /// Makes an empty temporary folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temp(&self) -> Result<TempDir, StoreError> {
        loop {
            let name = format!("tmp/{}", unique());
            fs::mkdirat(self.dir(), &name, Mode::from_raw_mode(0o700))
                .map_err(StoreError::io("create", &name))?;
            // A sweeper may take the folder before we have locked it. Then we make another.
            if let Some(dir) = self.lock_temp(&name, FlockOperation::LockExclusive)? {
                return Ok(TempDir { store: self.clone(), name, dir });
            }
        }
    }

    /// Removes what dead processes left in `tmp/`; returns how many things that were. Costs one lock a folder.
    ///
    /// # Errors
    /// When `tmp/` cannot be listed, or something in it cannot be removed.
    pub fn sweep(&self) -> Result<usize, StoreError> {
        let mut swept = 0;
        for name in self.names_in("tmp")? {
            let path = format!("tmp/{name}");
            if let Some(held) = self.lock_temp(&path, FlockOperation::NonBlockingLockExclusive)? {
                remove_tree(self.dir(), path.as_str()).map_err(StoreError::io("remove", &path))?;
                drop(held);
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// None when it is gone or somebody holds it.
    pub(super) fn lock_temp(
        &self,
        path: &str,
        operation: FlockOperation,
    ) -> Result<Option<OwnedFd>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(self.dir(), path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(StoreError::io("open", path)(error)),
        };
        match fs::flock(&file, operation) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(StoreError::io("lock", path)(error)),
        }
        let there = fs::statat(self.dir(), path, AtFlags::SYMLINK_NOFOLLOW);
        let ours = fs::fstat(&file).map_err(StoreError::io("stat", path))?;
        let same = there.is_ok_and(|there| there.st_ino == ours.st_ino);
        Ok(same.then_some(file))
    }
}

impl TempDir {
    /// Absolute.
    pub fn path(&self) -> PathBuf {
        self.store.path().join(&self.name)
    }

    /// The folder, open.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Relative to the store's folder.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes a folder in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_dir(&self, name: &str, mode: u32) -> Result<OwnedFd, StoreError> {
        let path = Path::new(&self.name).join(name);
        fs::mkdirat(&self.dir, name, Mode::from_raw_mode(mode)).map_err(StoreError::io("create", &path))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = fs::openat(&self.dir, name, flags, Mode::empty()).map_err(StoreError::io("open", &path))?;
        // The umask is not ours to rely on.
        fs::fchmod(&dir, Mode::from_raw_mode(mode)).map_err(StoreError::io("set the mode of", &path))?;
        Ok(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What cannot be removed now is left to the next sweep.
        let _ = remove_tree(self.store.dir(), self.name.as_str());
    }
}
