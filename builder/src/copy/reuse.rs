//! Files that need not be written, since an earlier layer has them.

use std::os::fd::BorrowedFd;

use rbuild_image::digest::LayerId;

use super::listing::Planned;
use super::owner::Owner;
use super::seen::SeenEntries;
use crate::context::{ContentHash, FileTime};

/// A file as it will stand in the new layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// BLAKE3 of its content.
    pub content: ContentHash,
    /// Bytes of its content.
    pub size: u64,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// User and group id.
    pub owner: (u32, u32),
    /// Modification time.
    pub mtime: FileTime,
}

impl Wanted {
    pub(crate) fn new(content: ContentHash, size: u64, mode: u32, owner: Owner, mtime: FileTime) -> Self {
        Self { content, size, mode, owner: (owner.uid, owner.gid), mtime }
    }
}

/// Whether what is written may share files with layers. A layer never changes, so layers may share files with each
/// other, but with nothing that somebody can write to.
#[derive(Clone, Copy)]
pub enum Links<'a> {
    /// A layer is written: files of the source's layers are linked, and those that [`Reuse`] finds.
    Layer(Option<&'a dyn Reuse>),
    /// Something else is written, a folder of the user's or a cache: all files are copies.
    Never,
}

impl std::fmt::Debug for Links<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Layer(_) => "Layer",
            Self::Never => "Never",
        })
    }
}

/// Knows files of the store that a new layer can link to. Asked only for files without extended attributes.
pub trait Reuse: Sync {
    /// A file that is equal in everything that `wanted` says and that will never change; of several, the one at
    /// the same `path`. That it still looks so is checked; that it has this content is not.
    fn find(&self, wanted: &Wanted, path: &[u8]) -> Option<Twin<'_>>;

    /// Takes note of a file that the new layer is going to have at `path`, relative to its root.
    fn made(&self, wanted: &Wanted, path: &[u8]);

    /// A layer that the new one can be over, if all that is in it is known.
    fn base(&self) -> Option<Base<'_>> {
        None
    }

    /// Takes note of all entries that the new layer is going to have, if nothing comes in between.
    fn all(&self, _planned: &[Planned]) {}
}

/// A layer of which the next one may be only what differs.
#[derive(Debug)]
pub struct Base<'a> {
    /// Its name.
    pub layer: LayerId,
    /// All of its entries, in canonical order.
    pub entries: SeenEntries<'a>,
}

/// Where a file of another layer is.
#[derive(Debug, Clone, Copy)]
pub struct Twin<'a> {
    /// The root of that layer.
    pub root: BorrowedFd<'a>,
    /// Its path in it.
    pub path: &'a [u8],
}
