//! What can go wrong with a container.

use std::io;
use std::path::PathBuf;

use rbuild_image::digest::LayerId;
use rbuild_image::layer::LayerError;
use rbuild_image::store::StoreError;

use super::id::ContainerId;
use crate::sandbox::SpawnError;

/// Why a container could not be made, run or removed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The program could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Neither the image nor the user says what to run.
    #[error("no command specified")]
    NoCommand,
    /// A layer of the image is not in the store.
    #[error("layer {0} of the image is not in the store any more")]
    MissingLayer(LayerId),
    /// The name belongs to another container.
    #[error(
        "the container name \"{name}\" is already in use by container \"{id}\"; remove that one, or choose another name"
    )]
    NameTaken {
        /// As asked for.
        name: String,
        /// Whose it is.
        id: ContainerId,
    },
    /// Docker's rule for names of containers and volumes.
    #[error("invalid {what} name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName {
        /// "container" or "volume".
        what: &'static str,
        /// As asked for.
        name: String,
    },
    /// A terminal with standard input was asked for, and our standard input is none.
    #[error("the input device is not a TTY")]
    NotATerminal,
    /// Only a container that does not run can be removed.
    #[error("container {0} is running")]
    Running(ContainerId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image's content could not be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A system call failed.
    #[error("cannot {action} {path:?}: {source}")]
    Io {
        /// What was tried, as it completes "cannot …".
        action: &'static str,
        /// The file, folder or stream.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
}

impl ContainerError {
    /// The exit code that docker's table gives to this failure: 127 and 126 for programs that cannot be started, 1
    /// where no container was tried at all, else 125.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Spawn(error) => error.exit_code(),
            Self::NotATerminal => 1,
            _ => 125,
        }
    }

    /// For `map_err`: the operation and the path around a failed call.
    pub(super) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action, path: path.into(), source: source.into() }
    }
}
