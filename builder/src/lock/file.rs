//! The lock's format: JSON, sorted, one name a line or a few, so that a change reads well in a diff.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use rbuild_image::digest::{ImageId, ManifestDigest};
use serde::{Deserialize, Serialize};

use super::LockError;

/// A later format gets another number; an earlier rbuild refuses it.
const VERSION: u32 = 1;

/// What names mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    version: u32,
    /// By the whole name: `docker.io/library/debian:bookworm`.
    #[serde(default)]
    pub images: BTreeMap<String, ImagePin>,
    /// SHA-256 (`sha256:HEX`) of what a URL gives.
    #[serde(default)]
    pub urls: BTreeMap<String, String>,
    /// Commits, by the repository's address, `#` and the reference.
    #[serde(default)]
    pub git: BTreeMap<String, String>,
}

/// What the name of an image means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagePin {
    /// Of the manifest or index in the registry; None for an image that no registry has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<ManifestDigest>,
    /// The images themselves, by platform.
    #[serde(default)]
    pub ids: BTreeMap<String, ImageId>,
}

impl Default for LockFile {
    fn default() -> Self {
        Self { version: VERSION, images: BTreeMap::new(), urls: BTreeMap::new(), git: BTreeMap::new() }
    }
}

impl LockFile {
    /// Reads a lock; None if there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not a lock that this rbuild understands.
    pub fn load(path: &Path) -> Result<Option<Self>, LockError> {
        let failed = |cause: String| LockError::Read { file: path.to_owned(), cause };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(cause.to_string())),
        };
        let lock: Self = serde_json::from_slice(&text).map_err(|cause| failed(cause.to_string()))?;
        if lock.version != VERSION {
            return Err(failed(format!("its version is {}, and this rbuild knows {VERSION}", lock.version)));
        }
        Ok(Some(lock))
    }

    /// Writes the lock in one step: whoever reads it sees the old one or the new one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LockError> {
        let mut text = serde_json::to_string_pretty(self).expect("it has only strings and maps of them");
        text.push('\n');
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let partial = path.with_file_name(name);
        let write = |partial: &Path| {
            fs::File::create(partial)?.write_all(text.as_bytes())?;
            fs::rename(partial, path)
        };
        write(&partial).map_err(|cause| {
            let _ = fs::remove_file(&partial);
            LockError::Write { file: path.to_owned(), cause }
        })
    }

    /// Takes what `newer` says; the rest stays.
    pub(super) fn update(&mut self, newer: Self) {
        self.images.extend(newer.images);
        self.urls.extend(newer.urls);
        self.git.extend(newer.git);
    }
}
