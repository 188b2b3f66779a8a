//! What can go wrong between a layer's directory and its tar.

use std::fmt;
use std::io;

use rustix::io::Errno;

use super::tar_reader::TarError;

/// A failure while reading, writing or changing a layer. Paths are relative to the layer's root.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A system call failed.
    #[error("cannot {action} {path}: {source}", path = ShownPath(.path))]
    Io {
        /// What was tried, as it completes "cannot …".
        action: &'static str,
        /// Inside of the layer; empty for its root.
        path: Vec<u8>,
        /// The kernel's word.
        source: Errno,
    },
    /// The layer's tar could not be handed on.
    #[error("cannot write the layer's tar: {0}")]
    Write(#[source] io::Error),
    /// A file became shorter while it was read.
    #[error("{path} changed while it was read", path = ShownPath(.path))]
    Changed {
        /// The file.
        path: Vec<u8>,
    },
    /// Deeper than any program could use.
    #[error("{path} is deeper than {limit} bytes of path", path = ShownPath(&.path[..80.min(.path.len())]))]
    TooDeep {
        /// The path.
        path: Vec<u8>,
        /// The limit in bytes.
        limit: usize,
    },
    /// More than 255 symlinks on one way.
    #[error("too many links in {path}", path = ShownPath(.path))]
    TooManyLinks {
        /// What was looked up.
        path: Vec<u8>,
    },
    /// An archive that is damaged or cannot be read.
    #[error(transparent)]
    Archive(#[from] TarError),
    /// An archive's entry that would lead out of the layer, or that makes no sense.
    #[error("the archive's entry {path} {problem}", path = ShownPath(.path))]
    Entry {
        /// As it is in the archive.
        path: Vec<u8>,
        /// What is wrong with it, as it completes "the entry …".
        problem: String,
    },
    /// A path leads through something that is no directory.
    #[error("{path} is not a directory", path = ShownPath(.path))]
    NotADirectory {
        /// The component in question.
        path: Vec<u8>,
    },
}

impl LayerError {
    /// For `map_err`: the operation and the path around an error number.
    pub(crate) fn io<'a>(action: &'static str, path: &'a [u8]) -> impl FnOnce(Errno) -> Self + use<'a> {
        move |source| Self::Io { action, path: path.to_vec(), source }
    }

    pub(super) fn entry(path: &[u8], problem: impl Into<String>) -> Self {
        Self::Entry { path: path.to_vec(), problem: problem.into() }
    }

    /// The same for a name in a directory.
    pub(crate) fn child<'a>(
        action: &'static str,
        dir: &'a [u8],
        name: &'a [u8],
    ) -> impl FnOnce(Errno) -> Self + use<'a> {
        let slash = if dir.is_empty() { "" } else { "/" };
        move |source| Self::Io { action, path: [dir, slash.as_bytes(), name].concat(), source }
    }
}

/// A path as people read it: `/` for the root, control characters escaped.
pub(crate) struct ShownPath<'a>(pub(crate) &'a [u8]);

impl fmt::Display for ShownPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        for character in String::from_utf8_lossy(self.0).chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}
