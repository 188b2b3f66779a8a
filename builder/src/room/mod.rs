//! Room: what the build cache takes of the disk, and making it take less.
//!
//! - [`Survey`]: everything that the cache is made of, one [`Item`] each: results of steps, cache mounts, downloads,
//!   repositories, hints; with its size, when it was used last, what it cost, and what needs it.
//! - [`collect()`]: removes what a [`Wish`] says, or as much as a [`Budget`] asks for.
//! - [`after_build`]: the same by itself, [`Rule`] by rule, when a budget may have been passed.
//!
//! What goes first is what was not used for longest and is cheapest to make again: ages are compared by their
//! powers of two, and among things that are about as old, the one that took the fewest milliseconds a byte. What a
//! step cost includes the steps that build on it, which nobody could find again without it.
//!
//! Invariants: what a running process, a container or an image needs stays; a build that finds everything in the
//! cache measures nothing.

mod automatic;
mod budget;
mod collect;
mod describe;
mod kind;
mod order;
mod survey;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use rbuild_image::store::StoreError;

pub use automatic::{Rule, after_build};
pub use budget::{Budget, Disk, Space};
pub use collect::{Collected, Wish, collect, layer_of_record};
pub use kind::Kind;
pub use survey::{Item, Survey};

use crate::cache_mount::CacheError;

/// Why there is no answer, or not all that was to go has gone.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cache mount.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A system call failed.
    #[error("cannot {action} {path}: {cause}", path = .path.display())]
    Io {
        /// What was tried, as it completes "cannot …".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's word.
        cause: io::Error,
    },
}

impl RoomError {
    /// For `map_err`.
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |cause| Self::Io { action, path, cause }
    }
}
