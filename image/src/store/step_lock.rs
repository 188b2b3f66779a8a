//! Two builds that need the same step make it once: the second waits for the first.

use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Store, StoreError};
use crate::digest::RecordKey;

/// The right to make a step, given back when dropped or when the process ends.
#[derive(Debug)]
pub struct StepLock {
    store: Store,
    path: String,
    _file: OwnedFd,
}

impl Store {
    /// Waits until nobody else makes this step.
    ///
    /// # Errors
    /// When the lock's file cannot be made or locked.
    pub fn lock_step(&self, key: RecordKey) -> Result<StepLock, StoreError> {
        loop {
            if let Some(lock) = self.lock_step_with(key, FlockOperation::LockExclusive)? {
                return Ok(lock);
            }
        }
    }

    /// As [`Store::lock_step`], but None when somebody else makes it.
    ///
    /// # Errors
    /// When the lock's file cannot be made or locked.
    pub fn try_lock_step(&self, key: RecordKey) -> Result<Option<StepLock>, StoreError> {
        self.lock_step_with(key, FlockOperation::NonBlockingLockExclusive)
    }

    /// Removes the locks of killed builds on steps that nobody has made since.
    pub(super) fn sweep_step_locks(&self) -> Result<(), StoreError> {
        for key in self.names_in("steps")?.iter().filter_map(|name| name.parse().ok()) {
            // Whoever gives one back removes it.
            drop(self.try_lock_step(key)?);
        }
        Ok(())
    }

    /// The process that makes this step, as it sees itself; None when nobody does or it just begins.
    pub fn step_holder(&self, key: RecordKey) -> Option<u32> {
        let text = self.read_small(&format!("steps/{key}")).ok()??;
        String::from_utf8(text).ok()?.trim().parse().ok()
    }

    fn lock_step_with(&self, key: RecordKey, how: FlockOperation) -> Result<Option<StepLock>, StoreError> {
        let path = format!("steps/{key}");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = fs::openat(self.dir(), &path, flags, Mode::from_raw_mode(0o600))
            .map_err(StoreError::io("create", &path))?;
        loop {
            match fs::flock(&file, how) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(StoreError::io("lock", &path)(error)),
            }
        }
        // The last holder removed the file while we waited for it: what we hold then is no lock on anything.
        let ours = fs::fstat(&file).map_err(StoreError::io("stat", &path))?;
        let there = fs::statat(self.dir(), &path, AtFlags::empty());
        if !there.is_ok_and(|there| there.st_ino == ours.st_ino) {
            return if how == FlockOperation::LockExclusive {
                Ok(None)
            } else {
                self.lock_step_with(key, how)
            };
        }
        let pid = rustix::process::getpid().as_raw_pid().to_string();
        fs::ftruncate(&file, 0).map_err(StoreError::io("write", &path))?;
        rustix::io::pwrite(&file, pid.as_bytes(), 0).map_err(StoreError::io("write", &path))?;
        Ok(Some(StepLock { store: self.clone(), path, _file: file }))
    }
}

impl Drop for StepLock {
    fn drop(&mut self) {
        // Before the lock is given up, so that whoever waits for this very file sees that it is gone.
        let _ = fs::unlinkat(self.store.dir(), &self.path, AtFlags::empty());
    }
}
