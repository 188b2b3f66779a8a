//! What can be asked of a layer.

use std::path::PathBuf;
use std::sync::PoisonError;

use rustix::fs::{self, FlockOperation};

use super::StoreError;
use super::layers::{ForeignBlob, KnownTar, Layer, Origin, diff_id_path, layer_path, parse_tar};
use super::lower::NOTES;
use crate::digest::{BlobDigest, DiffId, LayerId};
use crate::layer::{self, Listing, OpenFolders, TarSummary};

/// What notes about a compressed form of a layer begin with; the form lies beside, with `.blob` at the end.
pub(crate) const PACKED: &str = "packed-";

impl Layer {
    /// Its name in the store.
    pub fn id(&self) -> LayerId {
        self.0.id
    }

    /// The directory with what it has itself, absolute.
    pub fn fs_path(&self) -> PathBuf {
        self.0.store.path().join(layer_path(self.0.id)).join(self.0.meta.folder())
    }

    /// The directories that overlayfs mounts, the uppermost first: its own, and that of the layer that it is over.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        [self.fs_path()].into_iter().chain(self.0.base.as_ref().map(Self::fs_path))
    }

    /// The same, opened.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open_fs(&self) -> Result<OpenFolders, StoreError> {
        self.0.store.open_folders(self.0.id, &self.0.meta)
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.0.meta.origin
    }

    /// The bytes in which it came, if it is foreign and they were kept.
    pub fn foreign_blob(&self) -> Option<&ForeignBlob> {
        match &self.0.meta.origin {
            Origin::Foreign { blob, .. } => blob.as_ref(),
            Origin::Built(_) => None,
        }
    }

    /// Directories that the tar it came in puts something into and does not describe.
    pub(super) fn implied(&self) -> &[Vec<u8>] {
        &self.0.meta.implied
    }

    /// Bytes of content, hard links counted once.
    pub fn size(&self) -> u64 {
        self.0.meta.bytes
    }

    /// How many entries its tar has, the end not counted.
    pub fn entries(&self) -> u64 {
        self.0.meta.entries
    }

    /// The SHA-256 of its tar. It is computed once, by the first who asks, among all processes; the others wait.
    ///
    /// # Errors
    /// When the layer cannot be read.
    pub fn diff_id(&self) -> Result<DiffId, StoreError> {
        match &self.0.meta.origin {
            Origin::Foreign { diff_id, .. } => Ok(*diff_id),
            Origin::Built(_) => self.tar().map(|tar| tar.diff_id),
        }
    }

    /// Whether [`Layer::diff_id`] has an answer without computing one.
    pub fn knows_diff_id(&self) -> bool {
        if matches!(self.0.meta.origin, Origin::Foreign { .. }) {
            return true;
        }
        let mut tar = self.0.tar.lock().unwrap_or_else(PoisonError::into_inner);
        if tar.is_none() {
            *tar = self.remembered().ok().flatten().map(KnownTar::remembered);
        }
        tar.is_some()
    }

    /// Digest and length of the tar that [`layer::write_tar`] makes of it. For a built layer this is its DiffID.
    ///
    /// # Errors
    /// When the layer cannot be read.
    pub fn tar(&self) -> Result<TarSummary, StoreError> {
        self.known_tar(|| self.compute(None))
    }

    /// The same soon after the layer was listed: it need not be listed once more.
    ///
    /// # Errors
    /// When the layer cannot be read.
    pub fn tar_of(&self, listing: &Listing) -> Result<TarSummary, StoreError> {
        self.known_tar(|| self.compute(Some(listing)))
    }

    /// The same where its files are being read already, since before it was a layer; `begun` waits for that, and has
    /// nothing if it failed.
    ///
    /// # Errors
    /// When the layer cannot be read.
    pub fn tar_from(&self, begun: impl FnOnce() -> Option<TarSummary>) -> Result<TarSummary, StoreError> {
        self.known_tar(|| match begun() {
            Some(summary) => {
                self.remember_tar(summary)?;
                Ok(KnownTar { summary, is_own: true })
            }
            None => self.compute(None),
        })
    }

    /// Whether this very process read all of the layer to find out what [`Layer::tar`] says: then what it reads of it
    /// now need not be hashed to be believed.
    pub fn has_own_tar(&self) -> bool {
        self.0.tar.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|tar| tar.is_own)
    }

    /// Remembers what this process found out by reading the layer.
    pub(super) fn found_tar(&self, summary: TarSummary) -> Result<(), StoreError> {
        let mut tar = self.0.tar.lock().unwrap_or_else(PoisonError::into_inner);
        self.remember_tar(summary)?;
        *tar = Some(KnownTar { summary, is_own: true });
        Ok(())
    }

    fn known_tar(
        &self,
        find: impl FnOnce() -> Result<KnownTar, StoreError>,
    ) -> Result<TarSummary, StoreError> {
        let mut tar = self.0.tar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tar) = *tar {
            return Ok(tar.summary);
        }
        let found = match self.remembered()? {
            Some(found) => KnownTar::remembered(found),
            None => find()?,
        };
        *tar = Some(found);
        Ok(found.summary)
    }

    /// Remembers digest and length for all times when [`layer::write_tar`] was run on the layer for another reason.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn remember_tar(&self, tar: TarSummary) -> Result<(), StoreError> {
        let notes = &self.0.notes;
        if self.is_below() {
            notes.make_folder(NOTES)?;
        }
        let text = format!("{} {}\n", tar.diff_id, tar.size);
        notes.write_small(&format!("{}diff_id", self.notes_path()), text.as_bytes())?;
        if matches!(self.0.meta.origin, Origin::Built(_)) {
            notes.write_small(&diff_id_path(tar.diff_id), self.0.id.to_string().as_bytes())?;
        }
        Ok(())
    }

    /// The layer that this one became when its times after `epoch` were cut off, if that was done and it is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn clamped(&self, epoch: i64) -> Result<Option<Self>, StoreError> {
        let path = self.clamped_path(epoch);
        let noted = self.0.notes.read_small(&path)?;
        let id = noted.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
        id.map_or(Ok(None), |id| self.0.notes.layer(id))
    }

    /// Remembers [`Layer::clamped`].
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn remember_clamped(&self, epoch: i64, clamped: LayerId) -> Result<(), StoreError> {
        if self.is_below() {
            self.0.notes.make_folder(NOTES)?;
        }
        self.0.notes.write_small(&self.clamped_path(epoch), format!("{clamped}\n").as_bytes())
    }

    fn clamped_path(&self, epoch: i64) -> String {
        format!("{}clamped.{epoch}", self.notes_path())
    }

    fn compute(&self, listing: Option<&Listing>) -> Result<KnownTar, StoreError> {
        let folders = self.open_fs()?;
        // The others' processes wait here, and then find what we wrote down.
        fs::flock(folders.top(), FlockOperation::LockExclusive)
            .map_err(StoreError::io("lock", self.fs_path()))?;
        if let Some(found) = self.remembered()? {
            return Ok(KnownTar::remembered(found));
        }
        let found = match listing {
            Some(listing) => layer::listed_tar(folders.as_folders(), listing),
            None => layer::write_tar(folders.as_folders(), self.0.store.flavour(), &mut std::io::sink()),
        };
        let summary = found.map_err(StoreError::layer(Some(self.0.id)))?;
        self.remember_tar(summary)?;
        Ok(KnownTar { summary, is_own: true })
    }

    fn remembered(&self) -> Result<Option<TarSummary>, StoreError> {
        let known = self.0.store.remembered_tar(self.0.id)?;
        if known.is_some() || !self.is_below() {
            return Ok(known);
        }
        let text = self.0.notes.read_small(&format!("{}diff_id", self.notes_path()))?;
        Ok(text.and_then(|text| String::from_utf8(text).ok()).and_then(|text| parse_tar(&text)))
    }

    /// What the names of files begin with in which something is noted about it; relative to the store that it was
    /// asked of.
    pub(crate) fn notes_path(&self) -> String {
        if self.is_below() {
            format!("{NOTES}/{}.", self.0.id)
        } else {
            format!("{}/", layer_path(self.0.id))
        }
    }

    /// It is a lower store's.
    pub(super) fn is_below(&self) -> bool {
        self.0.store.path() != self.0.notes.path()
    }

    /// Where the bytes are in which it came, if it is foreign and they were kept.
    pub fn blob_path(&self) -> Option<PathBuf> {
        let blob = self.foreign_blob()?;
        Some(self.0.store.path().join("blobs/sha256").join(blob.digest.hex()))
    }

    /// A file with exactly the bytes of a blob that is this layer: it came so, or was compressed so for a push.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn blob_file(&self, digest: BlobDigest, size: u64) -> Result<Option<PathBuf>, StoreError> {
        let is_there = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|found| found.len() == size);
        if self.foreign_blob().is_some_and(|blob| blob.digest == digest) {
            return Ok(self.blob_path().filter(is_there));
        }
        let notes = self.notes_path();
        let (folder, start) = notes.rsplit_once('/').unwrap_or((".", &notes));
        let line = format!("{digest} {size}\n");
        for name in self.0.notes.names_in(folder)? {
            let is_note = name.strip_prefix(start).is_some_and(|name| name.starts_with(PACKED));
            let path = format!("{folder}/{name}");
            if is_note
                && !name.ends_with(".blob")
                && self.0.notes.read_small(&path)?.is_some_and(|of| of == line.as_bytes())
            {
                return Ok(Some(self.0.notes.path().join(format!("{path}.blob"))).filter(is_there));
            }
        }
        Ok(None)
    }
}
