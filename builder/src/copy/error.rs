//! What can go wrong in COPY, ADD and WORKDIR. The texts are BuildKit's where it has one.

use std::io;

use rbuild_image::layer::LayerError;
use rbuild_image::store::help_for_room;
use rbuild_runtime::users::UserError;
use rustix::io::Errno;

use crate::context::ContextError;
use crate::context::path::show;

/// A failure of COPY, ADD or WORKDIR.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source that is named literally is not there.
    #[error("failed to compute cache key: failed to calculate checksum of ref {from}: \"{path}\": not found")]
    NotFound {
        /// Where it was looked for.
        from: String,
        /// Absolute path in there.
        path: String,
        /// What may help, as sentences.
        help: Vec<String>,
    },
    /// A path that has to be there is not: below an image, or in front of a wildcard.
    #[error("lstat {path}: no such file or directory")]
    NoSuchFile {
        /// Absolute path in the source.
        path: String,
        /// What may help, as sentences.
        help: Vec<String>,
    },
    /// A directory would have to replace something else.
    #[error("cannot copy to non-directory: {path}")]
    OntoNonDirectory {
        /// Absolute path in the destination.
        path: String,
    },
    /// A file would have to replace a directory.
    #[error("cannot replace to directory {path} with file")]
    OntoDirectory {
        /// Absolute path in the destination.
        path: String,
    },
    /// A component of the destination is no directory.
    #[error("mkdir {path}: not a directory")]
    NotADirectory {
        /// Absolute path in the destination.
        path: String,
    },
    /// `--chown` by name where there is no file system with names.
    #[error("invalid user index: -1")]
    NoNames {
        /// The owner as written.
        owner: String,
    },
    /// `/etc/passwd` or `/etc/group` is unusable.
    #[error(transparent)]
    User(#[from] UserError),
    /// A pattern is malformed.
    #[error("invalid pattern {pattern}: {cause}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The symbolic mode cannot be applied.
    #[error("invalid chmod parameter: '{mode}': {cause}")]
    Chmod {
        /// As written.
        mode: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Something that rbuild cannot copy.
    #[error("{0}")]
    Unsupported(String),
    /// An archive ends early or is damaged.
    #[error("failed to unpack {path}: {cause}")]
    Archive {
        /// Absolute path in the source.
        path: String,
        /// What is wrong.
        cause: io::Error,
    },
    /// A download failed.
    #[error("{0}")]
    Download(String),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] ContextError),
    /// The destination's layers cannot be read.
    #[error("failed to read the destination: {0}")]
    Destination(#[from] LayerError),
    /// The new layer cannot be written.
    #[error("failed to {operation} {path} in the new layer: {cause}")]
    Write {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Absolute path in the layer.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
}

impl CopyError {
    pub(crate) fn write(operation: &'static str, path: &[u8], cause: Errno) -> Self {
        Self::Write { operation, path: show(path), cause: cause.into() }
    }

    /// False where BuildKit reports the error without a line (spec 10.1): a failed download.
    #[must_use]
    pub fn located(&self) -> bool {
        !matches!(self, Self::Download(_))
    }

    /// Sentences that may help the user, to be shown beside the message.
    #[must_use]
    pub fn help(&self) -> Vec<String> {
        match self {
            Self::NotFound { help, .. } | Self::NoSuchFile { help, .. } => help.clone(),
            Self::Write { cause, .. } => help_for_room(cause.kind()).map(str::to_owned).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}
