//! Who uses a cache.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::CacheError;
use crate::cancel::LOOK_AGAIN;

/// How a cache is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Others may hold it like this, too.
    Shared,
    /// Nobody else has it.
    Exclusive,
}

/// How somebody waits for a cache.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    /// Asked before each look: false ends the waiting.
    pub(crate) go_on: &'a dyn Fn() -> bool,
    /// Told after each look in vain which processes have it.
    pub(crate) waits: &'a dyn Fn(&[u32]),
}

impl Patience<'_> {
    /// Waits for ever, and says nothing.
    pub(super) const ENDLESS: Self = Self { go_on: &|| true, waits: &|_| () };
}

/// A lock on a cache, given back when dropped or when the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// None when somebody else has it.
    pub(super) fn try_take(path: &Path, hold: Hold) -> Result<Option<Self>, CacheError> {
        loop {
            let file = open(path).map_err(CacheError::io("open", path))?;
            let taken = match hold {
                Hold::Shared => file.try_lock_shared(),
                Hold::Exclusive => file.try_lock(),
            };
            match taken {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(cause)) => return Err(CacheError::io("lock", path)(cause)),
            }
            // Whoever removed the cache has removed the file, too: what we hold then is no lock on anything.
            let ours = file.metadata().map_err(CacheError::io("stat", path))?.ino();
            if std::fs::symlink_metadata(path).is_ok_and(|there| there.ino() == ours) {
                return Ok(Some(Self { file, path: path.to_owned() }));
            }
        }
    }

    /// Waits for it, as long as the patience lasts.
    pub(super) fn take(path: &Path, hold: Hold, patience: Patience<'_>) -> Result<Self, CacheError> {
        while (patience.go_on)() {
            if let Some(lock) = Self::try_take(path, hold)? {
                return Ok(lock);
            }
            (patience.waits)(&holders(path));
            std::thread::sleep(LOOK_AGAIN);
        }
        Err(CacheError::Interrupted)
    }

    /// Remembers that the cache was used now.
    pub(super) fn touch(&self) {
        // Only the order of pruning depends on it.
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// The cache is gone, and so is its lock.
    pub(super) fn remove(self) -> Result<(), CacheError> {
        std::fs::remove_file(&self.path).map_err(CacheError::io("remove", &self.path))
    }
}

/// The processes that hold the lock, as far as `/proc/locks` shows them.
pub(super) fn holders(path: &Path) -> Vec<u32> {
    let Ok(stat) = std::fs::metadata(path) else { return Vec::new() };
    let inode = format!(":{}", stat.ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    // `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`; who waits has an arrow after the number.
    let mut found: Vec<u32> = locks
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|words| words.get(1) == Some(&"FLOCK") && words.get(5).is_some_and(|at| at.ends_with(&inode)))
        .filter_map(|words| words[4].parse().ok())
        .filter(|pid| *pid != 0)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}
