//! What can go wrong with a registry.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::ConfigError;
use crate::digest::{BlobDigest, DiffId};
use crate::layer::LayerError;
use crate::platform::Platform;
use crate::store::{ImageError, Named, StoreError};

/// Why a registry did not do what it was asked, or why we do not take what it gave.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The request did not get through, or its answer did not arrive.
    #[error("{method} {url}: {source}")]
    Connection {
        /// Of HTTP.
        method: &'static str,
        /// Where to.
        url: String,
        /// What broke.
        source: io::Error,
        /// Whether trying again can help.
        transient: bool,
    },
    /// An answer that says no.
    #[error("{method} {url}: {status}{}", detail(.message))]
    Status {
        /// Of HTTP.
        method: &'static str,
        /// Where to.
        url: String,
        /// HTTP's status code.
        status: u16,
        /// What the registry says about it; may be empty.
        message: String,
        /// After which time it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The registry wants somebody else, or somebody at all.
    #[error("{what}: access denied: {hint}{}", detail(.message))]
    Denied {
        /// The repository, or the registry.
        what: String,
        /// What the user can do.
        hint: &'static str,
        /// What the registry says about it; may be empty.
        message: String,
    },
    /// Neither tag nor digest is there.
    #[error("{0}: not found")]
    NotFound(String),
    /// More redirects than any registry needs.
    #[error("{url}: too many redirects")]
    RedirectLoop {
        /// Where it began.
        url: String,
    },
    /// A redirect that must not be followed.
    #[error("{from}: redirects to {to:?}, {reason}")]
    BadRedirect {
        /// Who redirects.
        from: String,
        /// Where to.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// A demand for credentials that cannot be met.
    #[error("{host}: {reason}")]
    Challenge {
        /// The registry.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer that is longer than it may be.
    #[error("{what}: longer than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The most that is accepted.
        limit: u64,
    },
    /// Other bytes than the digest promises.
    #[error("{what} is corrupt: expected {expected}, received {found}")]
    Corrupt {
        /// What was asked for.
        what: String,
        /// The digest that asked.
        expected: BlobDigest,
        /// The digest of what came.
        found: BlobDigest,
    },
    /// Another length than the manifest promises.
    #[error("{what}: expected {expected} bytes, the registry has {found}")]
    Length {
        /// What was asked for.
        what: String,
        /// What the manifest says.
        expected: u64,
        /// What the registry says or sends.
        found: u64,
    },
    /// A layer that is not the one that the config names.
    #[error("layer {blob} is not what the image config promises: expected {expected}, unpacked {found}")]
    WrongLayer {
        /// The blob.
        blob: BlobDigest,
        /// The DiffID in the config.
        expected: DiffId,
        /// The DiffID of the blob.
        found: DiffId,
    },
    /// A layer that inflates to far more than it is.
    #[error("layer {blob} of {size} bytes inflates to more than {limit} bytes")]
    Bomb {
        /// The blob.
        blob: BlobDigest,
        /// Its length.
        size: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// A document that is not what it should be.
    #[error("{what}: {reason}")]
    Document {
        /// Which.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The image config is none.
    #[error("{what}: {source}")]
    Config {
        /// The image.
        what: String,
        /// Why.
        source: ConfigError,
    },
    /// No image for the platform.
    #[error("no matching manifest for {wanted} in the manifest list entries of {what}")]
    NoPlatform {
        /// The image.
        what: String,
        /// What was wanted.
        wanted: Box<Platform>,
    },
    /// The only image there is has another platform.
    #[error(
        "image with reference {what} was found but does not match the specified platform: wanted {wanted}, actual: {found}"
    )]
    OtherPlatform {
        /// The image.
        what: String,
        /// What was wanted.
        wanted: Box<Platform>,
        /// What it is for.
        found: Box<Platform>,
    },
    /// Only what is in the store may be used, and it is not there.
    #[error("no such image: {0}")]
    NoImage(String),
    /// The image to be pushed is not in the store.
    #[error("an image does not exist locally with the ID: {0}")]
    NoImageId(Named),
    /// A layer could not be unpacked or packed.
    #[error("layer {blob}: {source}")]
    Layer {
        /// The blob or DiffID.
        blob: String,
        /// Why.
        source: LayerError,
    },
    /// A file of ours.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as it completes "cannot …".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A settings file that cannot be used.
    #[error("{}: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A credential helper that failed.
    #[error("credential helper docker-credential-{name}: {reason}")]
    Helper {
        /// Its name.
        name: String,
        /// What it said.
        reason: String,
    },
    /// Another part of the transfer failed, and this one was given up.
    #[error("given up because another transfer failed")]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image could not be kept.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl RegistryError {
    /// Whether the same request can succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { transient, .. } => *transient,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the registry has no such image, as far as it tells us.
    #[must_use]
    pub fn means_absent(&self) -> bool {
        match self {
            Self::NotFound(_) | Self::Denied { .. } | Self::NoPlatform { .. } | Self::NoImage(_) => true,
            Self::Status { status, .. } => *status == 404,
            _ => false,
        }
    }

    /// Whether the next mirror, or the registry behind it, may do better.
    pub(crate) fn is_local_to_mirror(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::File { .. } | Self::Cancelled)
    }

    /// How long the registry wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn file<P: Into<PathBuf>>(action: &'static str, path: P) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn document(what: &str, reason: impl ToString) -> Self {
        Self::Document { what: what.to_owned(), reason: reason.to_string() }
    }
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
