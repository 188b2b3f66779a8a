//! What ADD needs to know of a download.

use std::fs::File;
use std::sync::Arc;

use super::error::CopyError;
use crate::context::{ContentHash, FileTime};

/// Downloads files. Implemented by [`crate::fetch`], and by tests without a network.
pub trait Fetch {
    /// Downloads `url`, and refuses it if it does not have the `checksum` (`sha256:HEX`).
    ///
    /// # Errors
    /// In BuildKit's words: a malformed checksum, a status that is no success, another digest.
    fn fetch(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, CopyError>;
}

/// A finished download.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its content; a file without a name.
    pub file: Arc<File>,
    /// Bytes of the content.
    pub size: u64,
    /// Last element of the URL's path, `__unnamed__` without one.
    pub name: Vec<u8>,
    /// `Last-Modified`, else 1970.
    pub mtime: FileTime,
    /// BLAKE3 of the content.
    pub content: ContentHash,
}

/// For instructions without a URL.
#[derive(Debug, Clone, Copy)]
pub struct NoNetwork;

impl Fetch for NoNetwork {
    fn fetch(&self, url: &str, _: Option<&str>) -> Result<Fetched, CopyError> {
        Err(CopyError::Download(format!("{url} is not fetched: the network is not to be used")))
    }
}
