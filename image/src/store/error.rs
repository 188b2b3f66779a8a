//! What can go wrong in the store.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::digest::LayerId;
use crate::layer::{Flavour, LayerError};

/// A failure of the store. Paths are relative to the store's folder unless they are absolute.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A system call failed.
    #[error("cannot {action} {path:?}: {source}")]
    Io {
        /// What was tried, as it completes "cannot …".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A layer could not be read or hashed.
    #[error("layer {id}: {source}")]
    Layer {
        /// The layer, or nothing when it has no name yet.
        id: String,
        /// Why.
        source: LayerError,
    },
    /// The store was made in the other privilege mode, whose layers this one cannot read right.
    #[error(
        "the store {root:?} was made {made}, and is now used {used}: set RBUILD_ROOT to another folder",
        made = mode(*.made), used = mode(*.used)
    )]
    Flavour {
        /// The store's folder.
        root: PathBuf,
        /// How it was made.
        made: Flavour,
        /// How it is opened now.
        used: Flavour,
    },
    /// The same of the store below, whose place the user has chosen, too.
    #[error(
        "the lower store {root:?} was made {made}, and cannot be used {used}",
        made = mode(*.made), used = mode(*.used)
    )]
    LowerFlavour {
        /// The lower store's folder.
        root: PathBuf,
        /// How it was made.
        made: Flavour,
        /// How it is opened now.
        used: Flavour,
    },
    /// A lower store is never made.
    #[error("there is no store in {0:?}")]
    NoStore(PathBuf),
    /// More layers than overlayfs can lay on top of each other.
    #[error("{layers} layers cannot be mounted: overlayfs takes 500 folders, and these cannot be merged")]
    TooManyLayers {
        /// How many there are.
        layers: usize,
    },
    /// A folder that was asked for is not there.
    #[error("there is no layer {0} in the store")]
    NoLayer(LayerId),
}

/// What can be done about a disk that is full.
#[must_use]
pub fn help_for_room(kind: io::ErrorKind) -> Option<&'static str> {
    let is_full = matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    is_full.then_some("rbuild system df says what takes the room, and rbuild system prune makes some")
}

fn mode(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Trusted => "as root",
        Flavour::User => "without root",
        Flavour::Single => "without root and by a user without ranges of ids",
    }
}

impl StoreError {
    /// What can be done about it, where that is known from the kind of failure alone.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        let Self::Io { source, .. } = self else { return None };
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Some(
                "a store that is only read is laid below another one: RBUILD_ROOT=ELSEWHERE --store-lower STORE",
            ),
            io::ErrorKind::PermissionDenied => {
                Some("the store belongs to somebody else: RBUILD_ROOT says where to have one of your own")
            }
            kind => help_for_room(kind),
        }
    }

    /// True if the store, or this file of it, cannot be written to by this process.
    pub(super) fn is_refused(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), ReadOnlyFilesystem | PermissionDenied))
    }

    /// True if what was to be opened is not there.
    pub(super) fn is_missing(&self) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), NotFound | NotADirectory))
    }

    /// For `map_err`: the operation and the path around an error number.
    pub(crate) fn io<P: Into<PathBuf>>(action: &'static str, path: P) -> impl FnOnce(Errno) -> Self + use<P> {
        move |source| Self::Io { action, path: path.into(), source: source.into() }
    }

    pub(crate) fn layer(id: Option<LayerId>) -> impl FnOnce(LayerError) -> Self {
        let id = id.map_or_else(|| "being made".to_owned(), |id| id.to_string());
        move |source| Self::Layer { id, source }
    }
}
