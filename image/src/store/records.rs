//! Cache records and logs: what a step made, and what it said. Their content belongs to the builder.

use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::{Store, StoreError, disk};
use crate::digest::RecordKey;

/// Before the bytes of a record: version, then the BLAKE3 of the bytes and a line end.
const HEADER: &str = "rbuild record 1 ";

/// Uses are told apart to these seconds.
const USE_GRAIN: i64 = 3600;

impl Store {
    /// The record under a key, if there is a whole one. Using it makes it young again for pruning.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn record(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        let path = record_path(key);
        match (self.read_record(&path)?, self.lower()) {
            (Some(bytes), _) => {
                self.mark_used(&path);
                Ok(Some(bytes))
            }
            (None, Some(lower)) => lower.peek_record(key),
            (None, None) => Ok(None),
        }
    }

    /// The time of a record's file says when it was used last. It is written when it is older than an hour, so that
    /// a build that hits again and again does not write again and again.
    fn mark_used(&self, path: &str) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let used = disk::modified(self.dir(), path).ok().flatten();
        if used.is_some_and(|used| (used..used + USE_GRAIN).contains(&now.tv_sec)) {
            return;
        }
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: omit, last_modification: now };
        // Only the order of pruning depends on it.
        let _ = fs::utimensat(self.dir(), path, &times, AtFlags::empty());
    }

    /// When a record was used last, in seconds since 1970 and to the hour; None when it is gone.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn record_used(&self, key: RecordKey) -> Result<Option<i64>, StoreError> {
        let path = record_path(key);
        disk::modified(self.dir(), &path).map_err(StoreError::io("stat", path))
    }

    /// The same without making it young again: to look at, not to use.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn peek_record(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        match (self.read_record(&record_path(key))?, self.lower()) {
            (None, Some(lower)) => lower.peek_record(key),
            (own, _) => Ok(own),
        }
    }

    /// Stores a record, in place of an older one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_record(&self, key: RecordKey, bytes: &[u8]) -> Result<(), StoreError> {
        let mut whole = format!("{HEADER}{}\n", blake3::hash(bytes)).into_bytes();
        whole.extend_from_slice(bytes);
        self.write_small(&record_path(key), &whole)
    }

    /// Forgets a record; false when there was none.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_record(&self, key: RecordKey) -> Result<bool, StoreError> {
        self.remove_small(&format!("logs/{key}"))?;
        self.remove_small(&format!("inputs/{key}"))?;
        self.remove_small(&record_path(key))
    }

    /// The keys of all records.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn record_keys(&self) -> Result<Vec<RecordKey>, StoreError> {
        Ok(self.names_in("records")?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Moves a step's log into the store. `from` is on the store's file system, in a [`super::TempDir`].
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn put_log(&self, key: RecordKey, from: &Path) -> Result<(), StoreError> {
        let path = format!("logs/{key}");
        fs::renameat(CWD, from, self.dir(), &path).map_err(StoreError::io("write", path))
    }

    /// Where a step's log is; the file is missing when the step has none.
    pub fn log_path(&self, key: RecordKey) -> PathBuf {
        let own = self.path().join("logs").join(key.to_string());
        match self.lower() {
            Some(lower) if !own.exists() => lower.log_path(key),
            _ => own,
        }
    }

    /// The record's bytes, without touching it; None when it is missing or not whole.
    pub(super) fn read_record(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(whole) = self.read_small(path)? else { return Ok(None) };
        Ok(check(&whole).map(<[u8]>::to_vec))
    }
}

pub(super) fn record_path(key: RecordKey) -> String {
    format!("records/{key}")
}

fn check(whole: &[u8]) -> Option<&[u8]> {
    let rest = whole.strip_prefix(HEADER.as_bytes())?;
    let (sum, bytes) = (rest.get(..64)?, rest.get(65..)?);
    (rest[64] == b'\n' && sum == blake3::hash(bytes).to_hex().as_bytes()).then_some(bytes)
}
