//! A folder that is an OCI image layout. Its `index.json` names a manifest for each tag; the one of our tag is the head.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Address, Head, Place, PlaceError, Stored};
use crate::digest::{BlobDigest, Digest};
use crate::json::to_vec_go;
use crate::manifest::{Descriptor, Index, annotation, media_type};
use crate::time::Timestamp;

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Blobs up to that size are compared with their digests when somebody asks whether they are there.
const MAX_READ: u64 = 1 << 20;
/// More than any index or manifest of ours.
const MAX_DOCUMENT: u64 = 64 << 20;

/// An OCI layout in a folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    tag: String,
    /// The manifest to read, where it is not to be the tag's.
    pinned: Option<BlobDigest>,
}

impl Folder {
    /// The artifact under `tag` of the layout at `path`, which need not be there yet. With `pinned`, that manifest is
    /// read, whatever the tag means.
    #[must_use]
    pub fn new(path: PathBuf, tag: String, pinned: Option<BlobDigest>) -> Self {
        Self { path, tag, pinned }
    }

    fn blob(&self, digest: BlobDigest) -> PathBuf {
        self.path.join("blobs/sha256").join(digest.hex())
    }

    /// `index.json`; None if there is none.
    fn index(&self) -> Result<Option<Index>, PlaceError> {
        let path = self.path.join("index.json");
        let Some(bytes) = read_whole(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| PlaceError::document(path.display().to_string(), error))
    }

    fn is_ours(&self, entry: &Descriptor) -> bool {
        entry.annotations.get(annotation::REF_NAME).is_some_and(|tag| *tag == self.tag)
    }

    /// Puts `bytes` at `path` by one rename.
    fn replace(
        &self,
        path: &Path,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), PlaceError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let part = self.path.join(format!(".{}-{number}.part", std::process::id()));
        let written = File::create(&part)
            .and_then(|mut file| write(&mut file))
            .and_then(|()| fs::rename(&part, path))
            .map_err(PlaceError::file("write", path));
        if written.is_err() {
            // It is of no use to anybody.
            let _ = fs::remove_file(&part);
        }
        written
    }

    fn make(&self) -> Result<(), PlaceError> {
        let blobs = self.path.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(PlaceError::file("create", &blobs))?;
        let layout = self.path.join("oci-layout");
        if layout.exists() { Ok(()) } else { self.replace(&layout, |file| file.write_all(LAYOUT)) }
    }

    /// Changes the index while nobody else does.
    fn change(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), PlaceError> {
        let _lock = self.lock()?;
        // An index that cannot be read names nothing that could be kept.
        let mut index = self.index().ok().flatten().unwrap_or_else(|| Index {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.to_owned(),
            manifests: Vec::new(),
            annotations: Default::default(),
        });
        change(&mut index.manifests);
        let bytes = to_vec_go(&index);
        self.replace(&self.path.join("index.json"), |file| file.write_all(&bytes))
    }

    /// Shuts other writers of the index out, until it is dropped.
    fn lock(&self) -> Result<File, PlaceError> {
        let path = self.path.join("oci-layout");
        let file = open(&path).map_err(PlaceError::file("open", &path))?;
        file.lock().map_err(PlaceError::file("lock", &path))?;
        Ok(file)
    }
}

impl Place for Folder {
    fn name(&self) -> String {
        format!("folder {}", self.path.display())
    }

    fn address(&self) -> Address {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        Address::Folder { path, tag: self.tag.clone() }
    }

    fn head(&self) -> Result<Option<Vec<u8>>, PlaceError> {
        let Some(index) = self.index()? else { return Ok(None) };
        let digest = match self.pinned {
            Some(digest) => digest,
            None => match index.manifests.iter().find(|entry| self.is_ours(entry)) {
                Some(entry) => entry.digest,
                None => return Ok(None),
            },
        };
        let path = self.blob(digest);
        let bytes = read_whole(&path)?.ok_or_else(|| {
            PlaceError::document(path.display().to_string(), "the manifest that the index names is missing")
        })?;
        if Digest::of(&bytes) != digest.0 {
            return Err(PlaceError::document(path.display().to_string(), "it is corrupt"));
        }
        Ok(Some(bytes))
    }

    fn read(&self, blob: &Descriptor, out: &mut dyn Write) -> Result<(), PlaceError> {
        let path = self.blob(blob.digest);
        match open(&path) {
            Ok(mut file) => io::copy(&mut file, out).map(drop).map_err(PlaceError::file("read", &path)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(PlaceError::wrong(self, blob, "is missing"))
            }
            Err(error) => Err(PlaceError::file("open", &path)(error)),
        }
    }

    fn has(&self, blob: &Descriptor) -> Result<bool, PlaceError> {
        let path = self.blob(blob.digest);
        if !fs::metadata(&path).is_ok_and(|found| found.len() == blob.size) {
            return Ok(false);
        }
        // What is read in no time is not taken on trust: a damaged one is written again.
        Ok(blob.size > MAX_READ || fs::read(&path).is_ok_and(|bytes| Digest::of(&bytes) == blob.digest.0))
    }

    fn write(&self, blob: &Descriptor, file: &Path) -> Result<(), PlaceError> {
        self.make()?;
        let mut from = File::open(file).map_err(PlaceError::file("open", file))?;
        self.replace(&self.blob(blob.digest), |to| io::copy(&mut from, to).map(drop))
    }

    fn switch(&self, manifest: &[u8]) -> Result<(), PlaceError> {
        self.make()?;
        let digest = BlobDigest(Digest::of(manifest));
        self.replace(&self.blob(digest), |file| file.write_all(manifest))?;
        let mut entry = Descriptor::new(media_type::OCI_MANIFEST, digest, manifest.len() as u64);
        entry.annotations.insert(annotation::REF_NAME.to_owned(), self.tag.clone());
        self.change(|entries| {
            entries.retain(|entry| !self.is_ours(entry));
            entries.push(entry);
        })
    }

    fn heads(&self) -> Result<Vec<Head>, PlaceError> {
        let Some(index) = self.index()? else { return Ok(Vec::new()) };
        let mut heads = Vec::new();
        for entry in &index.manifests {
            // One that is missing cannot be read by anybody, and names nothing.
            let Some(manifest) = read_whole(&self.blob(entry.digest))? else { continue };
            heads.push(Head { name: entry_name(entry), manifest, replaced: false });
        }
        Ok(heads)
    }

    fn remove_head(&self, head: &Head) -> Result<(), PlaceError> {
        self.change(|entries| entries.retain(|entry| entry_name(entry) != head.name))
    }

    fn blobs(&self) -> Result<Vec<Stored>, PlaceError> {
        let folder = self.path.join("blobs/sha256");
        let failed = |error| PlaceError::file("list", &folder)(error);
        let mut blobs = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(digest) = Digest::from_hex(&entry.file_name().to_string_lossy()) else { continue };
            let found = entry.metadata().map_err(failed)?;
            let written = found.modified().ok().map(Timestamp::from);
            blobs.push(Stored { digest: BlobDigest(digest), size: found.len(), written });
        }
        Ok(blobs)
    }

    fn remove_blob(&self, digest: BlobDigest) -> Result<(), PlaceError> {
        let path = self.blob(digest);
        fs::remove_file(&path).map_err(PlaceError::file("remove", &path))
    }
}

/// What an entry of the index is called.
fn entry_name(entry: &Descriptor) -> String {
    entry.annotations.get(annotation::REF_NAME).cloned().unwrap_or_else(|| format!("@{}", entry.digest))
}

/// Opens a file to be read. A pipe without a writer counts as empty: whoever made the folder may have put one there.
fn open(path: &Path) -> io::Result<File> {
    let no_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(no_waiting).open(path)
}

/// A document; None if it is not there.
fn read_whole(path: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
    let mut bytes = Vec::new();
    match open(path) {
        Ok(file) => {
            file.take(MAX_DOCUMENT).read_to_end(&mut bytes).map_err(PlaceError::file("read", path))?;
            Ok(Some(bytes))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(PlaceError::file("open", path)(error)),
    }
}
