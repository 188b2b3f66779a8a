//! What can go wrong when a source is read.

use std::io;

use super::path::show;

/// A failure of a source of files.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A system call on an entry failed.
    #[error("failed to {operation} {path}: {cause}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Path inside the source.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
    /// More than 255 links on the way to one path.
    #[error("failed to resolve {path}: too many links")]
    TooManyLinks {
        /// The path that was asked for.
        path: String,
    },
    /// A pattern of an ignore file, `--exclude` or `--parents` is not one.
    #[error("{0}")]
    Pattern(String),
    /// The file is not what it was when it was selected.
    #[error("{path} changed while it was being read")]
    Changed {
        /// Path inside the source.
        path: String,
    },
    /// A layer of the image cannot be read.
    #[error("failed to read {path} of the image: {cause}")]
    Layers {
        /// Path inside the image.
        path: String,
        /// What the layer code says.
        cause: String,
    },
}

impl ContextError {
    pub(crate) fn io(operation: &'static str, path: &[u8], cause: impl Into<io::Error>) -> Self {
        Self::Io { operation, path: show(path), cause: cause.into() }
    }
}
