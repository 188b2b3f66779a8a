//! What can go wrong with a place.

use std::io;
use std::path::{Path, PathBuf};

use super::Place;
use crate::manifest::Descriptor;
use crate::registry::RegistryError;

/// Why a place did not do what it was asked, or why we do not take what it gave.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A file could not be read or written.
    #[error("{action} {path}: {source}", path = .path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A blob that is not there, or not what its descriptor says.
    #[error("blob {digest} of {place} {reason}")]
    Blob {
        /// Which.
        digest: String,
        /// Where.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A document that is not what it should be.
    #[error("{what}: {reason}")]
    Document {
        /// Which.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl PlaceError {
    /// For `map_err`: the operation and the path around an error.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// Whether it is the way to the place that failed: the same may work later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Registry(cause) if cause.is_transient())
    }

    pub(super) fn wrong(place: &dyn Place, blob: &Descriptor, reason: impl Into<String>) -> Self {
        Self::Blob { digest: blob.digest.to_string(), place: place.name(), reason: reason.into() }
    }

    /// A document that cannot be used.
    pub fn document(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Document { what: what.into(), reason: reason.to_string() }
    }
}
