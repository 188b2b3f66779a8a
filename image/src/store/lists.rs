//! Manifest lists in the making: what `manifest create` begins and `manifest push` sends.
//!
//! A list leads to manifests, whose images need not be in the store: on most machines that put lists together, the
//! images are in a registry only. So it is no image and has no ID; it is a file of `lists/`, JSON, called after the
//! SHA-256 of its name. The manifests that it leads to are kept beside those of images.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::digest::{Digest, ManifestDigest};
use crate::manifest::Descriptor;
use crate::reference::Reference;

const FOLDER: &str = "lists";

/// A list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestList {
    /// Under which it will be pushed.
    pub name: Reference,
    /// In the order in which they were added.
    pub entries: Vec<ListEntry>,
}

/// A manifest in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// What it was called when it was added.
    pub name: Reference,
    /// As the list will have it: with its platform.
    pub descriptor: Descriptor,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    entries: Vec<WrittenEntry>,
}

#[derive(Serialize, Deserialize)]
struct WrittenEntry {
    name: String,
    descriptor: Descriptor,
}

impl Store {
    /// Keeps a list; one of the same name is replaced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_list(&self, list: &ManifestList) -> Result<(), StoreError> {
        let entries = list
            .entries
            .iter()
            .map(|entry| WrittenEntry { name: entry.name.canonical(), descriptor: entry.descriptor.clone() });
        let written = Written { name: list.name.canonical(), entries: entries.collect() };
        let bytes = serde_json::to_vec(&written).expect("a list has only strings and numbers");
        self.put_in(FOLDER, &file(&list.name), &bytes)
    }

    /// The list of that name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, name: &Reference) -> Result<Option<ManifestList>, StoreError> {
        Ok(self.read_small(&format!("{FOLDER}/{}", file(name)))?.and_then(|bytes| parse(&bytes)))
    }

    /// Forgets a list; false when there was none. Its manifests stay until they are pruned.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_list(&self, name: &Reference) -> Result<bool, StoreError> {
        self.remove_small(&format!("{FOLDER}/{}", file(name)))
    }

    /// The manifests that lists lead to.
    pub(super) fn listed_manifests(&self) -> Result<BTreeSet<ManifestDigest>, StoreError> {
        let mut listed = BTreeSet::new();
        for name in self.names_in(FOLDER)? {
            let list = self.read_small(&format!("{FOLDER}/{name}"))?.and_then(|bytes| parse(&bytes));
            let entries = list.into_iter().flat_map(|list| list.entries);
            listed.extend(entries.map(|entry| ManifestDigest(entry.descriptor.digest.0)));
        }
        Ok(listed)
    }
}

fn file(name: &Reference) -> String {
    Digest::of(name.clone().with_default_tag().canonical().as_bytes()).hex()
}

fn parse(bytes: &[u8]) -> Option<ManifestList> {
    let written: Written = serde_json::from_slice(bytes).ok()?;
    let entries = written
        .entries
        .into_iter()
        .map(|entry| Some(ListEntry { name: entry.name.parse().ok()?, descriptor: entry.descriptor }));
    Some(ManifestList { name: written.name.parse().ok()?, entries: entries.collect::<Option<_>>()? })
}
