//! What builds leave behind to be explained by: a record of each build, and beside a step's record the list of the
//! files that went into its key. Their content belongs to the builder; nothing else depends on them.

use rustix::fs::{self, Mode};

use super::{Store, StoreError};
use crate::digest::RecordKey;

const BUILDS: &str = "builds";
const INPUTS: &str = "inputs";

impl Store {
    /// Stores the record of a build under a name that sorts after those of earlier builds.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_build(&self, id: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.put_in(BUILDS, id, bytes)
    }

    /// The record of a build; None when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn build(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        // A name that somebody typed must not lead elsewhere.
        if id.contains('/') || id.starts_with('.') {
            return Ok(None);
        }
        self.read_small(&format!("{BUILDS}/{id}"))
    }

    /// The names of all builds, the oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn build_ids(&self) -> Result<Vec<String>, StoreError> {
        self.names_in(BUILDS)
    }

    /// Forgets a build; false when there was none.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_build(&self, id: &str) -> Result<bool, StoreError> {
        self.remove_small(&format!("{BUILDS}/{id}"))
    }

    /// Stores what the files were that went into a key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_inputs(&self, key: RecordKey, bytes: &[u8]) -> Result<(), StoreError> {
        self.put_in(INPUTS, &key.to_string(), bytes)
    }

    /// What the files were that went into a key; None when nobody stored it.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn inputs(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        match (self.read_small(&format!("{INPUTS}/{key}"))?, self.lower()) {
            (None, Some(lower)) => lower.inputs(key),
            (own, _) => Ok(own),
        }
    }

    /// Lists of files and logs of steps that have no record: the step failed, or its record was removed.
    pub(super) fn beside_no_record(&self) -> Result<Vec<String>, StoreError> {
        let records: std::collections::BTreeSet<String> = self.names_in("records")?.into_iter().collect();
        let mut found = Vec::new();
        for folder in [INPUTS, "logs"] {
            let names = self.names_in(folder)?.into_iter().filter(|name| !records.contains(name));
            found.extend(names.map(|name| format!("{folder}/{name}")));
        }
        Ok(found)
    }

    /// The folder may be missing: stores were made before builds were recorded.
    pub(super) fn put_in(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = format!("{folder}/{name}");
        if fs::accessat(self.dir(), folder, fs::Access::EXISTS, fs::AtFlags::empty()).is_err() {
            // Another process may be as quick; a real failure is met by the write.
            let _ = fs::mkdirat(self.dir(), folder, Mode::from_raw_mode(0o700));
        }
        self.write_small(&path, bytes)
    }
}
