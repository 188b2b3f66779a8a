//! `rbuild.lock`: what the names in a Dockerfile meant when somebody said so.
//!
//! A tag, a URL and a branch can mean something else tomorrow. The lock is a small file, kept beside the sources, that
//! says what each of them led to: an image's digest and ID, a SHA-256, a commit. With [`Mode::Keep`] a build uses
//! exactly these, and asks nobody about what the store already has.
//!
//! - `file`: the format, and how it is read and written;
//! - `pins`: the lock during a build: what is fixed, what is new.
//!
//! Names that pin themselves (`name@sha256:…`, `ADD --checksum`, a whole commit) are not in it.

mod file;
mod pins;

use std::path::PathBuf;

pub use file::{ImagePin, LockFile};
pub(crate) use pins::{Pin, Pins};

/// A lock, and what a build does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Where it is.
    pub file: PathBuf,
    /// What is done with it.
    pub mode: Mode,
}

/// What a build does with its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Use what is in it, and add what is missing (`--lock`).
    Add,
    /// Use what is in it; what is missing or different is an error (`--locked`).
    Keep,
    /// Look everything up again (`--update`).
    Renew,
}

/// Why a lock cannot be used, or forbids something.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is not there, or cannot be read.
    #[error("failed to read the lock {}: {cause}", file.display())]
    Read {
        /// The lock.
        file: PathBuf,
        /// Why.
        cause: String,
    },
    /// It cannot be written.
    #[error("failed to write the lock {}: {cause}", file.display())]
    Write {
        /// The lock.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Nothing is said about a name.
    #[error("{what} is not in {}; build with --lock to add it", file.display())]
    Missing {
        /// The name as the lock would have it.
        what: String,
        /// The lock.
        file: PathBuf,
    },
    /// A name leads to something else.
    #[error("{what} is no longer what {} says: expected {expected}, found {found}; build with --update to accept it", file.display())]
    Differs {
        /// The name.
        what: String,
        /// The lock.
        file: PathBuf,
        /// What the lock has.
        expected: String,
        /// What there is now.
        found: String,
    },
    /// What the lock has is nowhere to be found.
    #[error("{what}: {expected}, which {} asks for, is not in the store, and it is not known where else it is", file.display())]
    Gone {
        /// The name.
        what: String,
        /// The lock.
        file: PathBuf,
        /// What the lock has.
        expected: String,
    },
}
