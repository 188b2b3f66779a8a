//! Manifests and indexes as bytes: their digest names them, so one that is passed on has to keep every byte.

use super::{Descriptor, Index, Manifest, media_type};
use crate::digest::{BlobDigest, Digest, ManifestDigest};

/// A manifest or an index, whose bytes are what its digest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// Of the bytes.
    pub digest: ManifestDigest,
    /// What it is.
    pub media_type: String,
    /// As they came.
    pub bytes: Vec<u8>,
}

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Kind {
    /// One image.
    Manifest(Manifest),
    /// Images for several platforms.
    Index(Index),
}

impl RawManifest {
    /// A document of these bytes.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        let digest = ManifestDigest(Digest::of(&bytes));
        Self { digest, media_type: media_type.to_owned(), bytes }
    }

    /// What leads to it, without a platform.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, BlobDigest(self.digest.0), self.bytes.len() as u64)
    }

    /// What it says; None if it is neither a manifest nor an index.
    pub fn read(&self) -> Option<Kind> {
        match self.media_type.as_str() {
            media_type::OCI_INDEX | media_type::DOCKER_LIST => {
                serde_json::from_slice(&self.bytes).ok().map(Kind::Index)
            }
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => {
                serde_json::from_slice(&self.bytes).ok().map(Kind::Manifest)
            }
            _ => None,
        }
    }
}
