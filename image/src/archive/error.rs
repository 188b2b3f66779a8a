//! What can be wrong with an archive.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::digest::{BlobDigest, DiffId};
use crate::layer::LayerError;
use crate::platform::Platform;
use crate::reference::ReferenceError;
use crate::store::{ImageError, Named, StoreError};

/// Why an archive could not be loaded or written. After a failed load the store is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive's file or folder cannot be opened.
    #[error("open archive {}: {source}", path.display())]
    Open {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive ends early or its tar structure is broken.
    #[error("read archive: {0}")]
    Read(#[source] io::Error),
    /// A member's data ends early.
    #[error("read archive: {member:?} is cut off: {got} of {expected} bytes")]
    Truncated {
        /// The member.
        member: String,
        /// Bytes there are.
        got: u64,
        /// Bytes its header promises.
        expected: u64,
    },
    /// Neither docker's archive format nor an OCI layout.
    #[error("unrecognized image format: no tar archive with a manifest.json or index.json")]
    Unrecognised,
    /// A member's name is absolute, leads out with `..`, or is no text.
    #[error("archive member {0:?} has a name that leads out of the archive")]
    UnsafeName(String),
    /// Two members have one name.
    #[error("archive has two members {0:?}")]
    Duplicate(String),
    /// More members than any real archive has.
    #[error("archive has more than {0} members")]
    TooManyMembers(usize),
    /// A member that another one refers to is not there.
    #[error("archive has no member {0:?}")]
    Missing(String),
    /// Links that lead in a circle, or to something that is no file.
    #[error("archive member {0:?} is a link that leads to no file")]
    BadLink(String),
    /// A document that is unreasonably large.
    #[error("archive member {member:?} has {size} bytes; documents may have {limit}")]
    TooLarge {
        /// The member.
        member: String,
        /// Its size in bytes.
        size: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// A document that is not the JSON it should be.
    #[error("parse {member:?} of the archive: {source}")]
    Json {
        /// The member.
        member: String,
        /// Why.
        source: serde_json::Error,
    },
    /// An image config that is none.
    #[error("{member:?} of the archive: {source}")]
    Config {
        /// The member.
        member: String,
        /// Why.
        source: ConfigError,
    },
    /// A name for an image that is none.
    #[error("image name {name:?} in the archive: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: ReferenceError,
    },
    /// A blob that does not have the digest or size that names it.
    #[error(
        "archive member {member:?} is corrupt: expected {expected} ({expected_size} bytes), found {found} ({found_size} bytes)"
    )]
    CorruptBlob {
        /// The member.
        member: String,
        /// The digest that names it.
        expected: BlobDigest,
        /// The size that its descriptor promises.
        expected_size: u64,
        /// The digest that it has.
        found: BlobDigest,
        /// The size that it has.
        found_size: u64,
    },
    /// A layer that is not the one that the config names.
    #[error("layer {member:?} is corrupt: the image config expects {expected}, found {found}")]
    CorruptLayer {
        /// The member.
        member: String,
        /// The DiffID in the config.
        expected: DiffId,
        /// The DiffID of what is there.
        found: DiffId,
    },
    /// Config and manifest disagree about the number of layers.
    #[error("invalid manifest, layers length mismatch: expected {expected}, got {found}")]
    LayerCount {
        /// DiffIDs in the config.
        expected: usize,
        /// Layers in the manifest.
        found: usize,
    },
    /// Nothing for the wanted platform.
    #[error("archive has no image for platform {wanted}")]
    NoPlatform {
        /// The platform.
        wanted: Platform,
    },
    /// No image has the wanted tag or digest.
    #[error("archive has no image {wanted}")]
    NotThere {
        /// The tag or digest.
        wanted: String,
    },
    /// Indexes within indexes, too deep.
    #[error("indexes of the archive are nested too deeply")]
    Nested,
    /// Encrypted, or another kind of layer that is no tar.
    #[error("layer {member:?} has the unsupported media type {media_type:?}")]
    MediaType {
        /// The layer's digest.
        member: String,
        /// The type.
        media_type: String,
    },
    /// A layer's tar could not be unpacked or made.
    #[error("layer {member:?}: {source}")]
    Layer {
        /// The member or DiffID.
        member: String,
        /// Why.
        source: LayerError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Config and layers do not make an image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A temporary file failed.
    #[error("{action} {}: {source}", path.display())]
    Temp {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image to be saved is not in the store.
    #[error("no such image: {0}")]
    NoImage(Named),
    /// The archive's destination takes no more.
    #[error("write archive: {0}")]
    Write(#[source] io::Error),
}
