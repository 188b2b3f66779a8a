//! What earlier builds downloaded, by URL.
//!
//! ```text
//! http/<hash of the URL>/meta.json       what the server said, and the name of the body
//! http/<hash of the URL>/body-<digest>   its bytes
//! ```
//!
//! Both are moved to their places by renames, the body first: `meta.json` never names a body that is not whole. A
//! body is trusted after its size was compared; its digests are those that were computed when it came.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use rbuild_image::digest::Digest;
use rbuild_image::store::{Store, TempDir};
use serde::{Deserialize, Serialize};

use crate::context::ContentHash;

const META: &str = "meta.json";

/// What is remembered of a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Against a collision of folder names.
    pub(super) url: String,
    pub(super) etag: Option<String>,
    /// As the server wrote it.
    pub(super) last_modified: Option<String>,
    pub(super) size: u64,
    /// SHA-256, as `sha256:HEX`.
    pub(super) digest: String,
    /// BLAKE3.
    pub(super) content: ContentHash,
}

/// The folder of one URL.
#[derive(Debug)]
pub(super) struct Slot {
    folder: PathBuf,
    url: String,
}

impl Slot {
    pub(super) fn new(store: &Store, url: &str) -> Self {
        let name = blake3::hash(url.as_bytes()).to_hex();
        Self { folder: store.path().join("http").join(&name.as_str()[..32]), url: url.to_owned() }
    }

    /// What is known, with the body; None if it is not there, not whole, or of another URL.
    pub(super) fn load(&self) -> Option<(Memory, File)> {
        let memory: Memory = serde_json::from_slice(&fs::read(self.folder.join(META)).ok()?).ok()?;
        Digest::from_str(&memory.digest).ok()?;
        let body = File::open(self.body(&memory)).ok()?;
        let whole = body.metadata().ok()?.len() == memory.size && memory.url == self.url;
        whole.then_some((memory, body))
    }

    /// Remembers the file `body` of a temporary folder.
    pub(super) fn keep(&self, temp: &TempDir, memory: &Memory) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let body = self.body(memory);
        fs::rename(temp.path().join("body"), &body)?;
        let meta = temp.path().join(META);
        fs::write(&meta, serde_json::to_vec(memory).map_err(io::Error::other)?)?;
        fs::rename(meta, self.folder.join(META))?;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_body = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"body-"));
            if is_body && path != body {
                // Whoever reads it has it open; another process may have been faster.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn body(&self, memory: &Memory) -> PathBuf {
        self.folder.join(format!("body-{}", blake3::Hash::from_bytes(memory.content).to_hex()))
    }
}
