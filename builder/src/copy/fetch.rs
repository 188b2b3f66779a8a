//! What ADD needs to know of a download.

use std::fs::File;
use std::sync::Arc;

use super::error::CopyError;
use crate::context::{ContentHash, FileTime};
use crate::fetch::git::Checkout;

/// Downloads files. Implemented by [`crate::fetch`], and by tests without a network.
pub trait Fetch {
    /// Downloads `url`, and refuses it if it does not have the `checksum` (`sha256:HEX`, or
    /// sha384, sha512).
    ///
    /// # Errors
    /// In BuildKit's words: a malformed checksum, a status that is no success, another digest.
    fn fetch(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, CopyError>;

    /// Checks out a commit of a git repository; it must be one whose name begins with `checksum`.
    ///
    /// # Errors
    /// In BuildKit's words: contradictions between the address and the flags, a reference that is not there,
    /// another commit.
    fn checkout(
        &self,
        url: &str,
        checksum: Option<&str>,
        keep_git_dir: Option<bool>,
    ) -> Result<Checkout, CopyError>;
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

    fn checkout(&self, url: &str, _: Option<&str>, _: Option<bool>) -> Result<Checkout, CopyError> {
        Err(CopyError::Download(format!("{url} is not fetched: the network is not to be used")))
    }
}
