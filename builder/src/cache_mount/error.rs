//! What can go wrong with a cache.

use std::io;
use std::path::{Path, PathBuf};

use rbuild_image::layer::LayerError;
use rbuild_image::store::StoreError;

/// Why a cache cannot be used, listed or carried.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A system call failed.
    #[error("cannot {action} {path}: {cause}", path = .path.display())]
    Io {
        /// What was tried, as it completes "cannot …".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The kernel's word.
        cause: io::Error,
    },
    /// The build was ended while another process had the cache.
    #[error("interrupted while another process used the cache")]
    Interrupted,
    /// Another process has it.
    #[error("cache {id} is in use{by}", by = processes(.users))]
    InUse {
        /// Its id.
        id: String,
        /// Processes that have it, as far as they can be seen.
        users: Vec<u32>,
    },
    /// None has that name.
    #[error("no such cache: {0}")]
    NotFound(String),
    /// Several have that id.
    #[error("{id:?} names several caches: {}", .names.join(", "))]
    Ambiguous {
        /// What was asked for.
        id: String,
        /// Their names, short.
        names: Vec<String>,
    },
    /// An archive has no description of a cache, and none was given.
    #[error("the archive does not say which cache it is")]
    Nameless,
    /// Files could not be read or written.
    #[error(transparent)]
    Files(#[from] LayerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CacheError {
    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |cause| Self::Io { action, path, cause }
    }
}

fn processes(users: &[u32]) -> String {
    match users {
        [] => String::new(),
        [one] => format!(" by process {one}"),
        many => {
            let list: Vec<String> = many.iter().map(u32::to_string).collect();
            format!(" by processes {}", list.join(", "))
        }
    }
}
