//! The folders behind `RUN --mount=type=cache`: they outlive builds and are never in a layer.
//!
//! A cache is identified by its id and by what it starts with (spec 3.2): owner and mode, or the files of another
//! state. In the store's folder `cache-mounts`, `<name>` being the digest of these:
//!
//! ```text
//! <name>          the files; `<name>-1` and so on are further ones for sharing=private
//! <name>.json     what it is
//! <name>.lock     its lock; the time of the file is when the cache was used last
//! <name>.changes  what a step changed that has succeeded, about to be merged into the files
//! <name>.next     new files as a whole, about to take the place of the others
//! ```
//!
//! - `sharing=shared` holds a shared lock and writes into the files, as BuildKit has it.
//! - `private` does the same with an exclusive lock on the first of the folders that nobody uses.
//! - `locked` waits for an exclusive lock, and is a *transaction* unless that is turned off: the step sees the files
//!   through an overlay. When it has succeeded its changes are renamed to `<name>.changes`, which is the moment that
//!   counts, and then moved to their places. When it fails or is killed, they vanish with its temporary folder.
//!
//! Invariants: a folder is given its name when it is whole; whoever gets the lock first finishes what a killed
//! process has left as `.changes` or `.next`, before anything else; no lock is waited for while another one is held
//! out of order (a step takes its caches sorted by name), so that no two steps wait for each other.

mod carry;
mod error;
mod list;
mod lock;
mod place;
mod take;
mod transaction;

#[cfg(test)]
mod tests;

use rbuild_image::store::Store;

pub use carry::{export, import};
pub use error::CacheError;
pub use list::{Cache, find, list, remove, remove_unused};
pub(crate) use lock::Patience;
pub(crate) use take::{Access, CacheMount, Start, Wish, take};

/// How caches with `sharing=locked` are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Locked {
    /// Changes count when the step has succeeded.
    #[default]
    Transaction,
    /// Changes are made in place, and a step that fails leaves those that it has made.
    InPlace,
}

/// What distinguishes one cache from another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheIdentity<'a> {
    /// `id=`, or the target.
    pub(crate) id: &'a str,
    /// uid, gid and mode, if the Dockerfile gives any of them.
    pub(crate) owner: Option<(u32, u32, u32)>,
    /// Digest of the files that a new cache starts with.
    pub(crate) content: Option<&'a str>,
}

impl CacheIdentity<'_> {
    /// The name of the cache's folder.
    pub(crate) fn folder_name(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("rbuild 2026 cache mount");
        let text = serde_json::to_vec(&(self.id, self.owner, self.content)).expect("strings and numbers");
        hasher.update(&text);
        hasher.finalize().to_hex().to_string()
    }
}

/// The folder of the caches, relative to the store's.
const FOLDER: &str = "cache-mounts";

/// Where the caches of a store are.
pub(crate) fn folder_of(store: &Store) -> std::path::PathBuf {
    store.path().join(FOLDER)
}
