//! Layers under their final names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::base::Base;
use super::{Store, StoreError, TempDir};
use crate::digest::{BlobDigest, DiffId, LayerId};
use crate::layer::{self, OpenFolders, OwnTimes, TarSummary, remove_tree};

/// Where a layer comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A step of a build made it. Its identity leaves out the times said here.
    Built(OwnTimes),
    /// It came in an archive or from a registry, and is named by the tar that it came in.
    Foreign {
        /// Of the tar as it came. Our own tar of the directory may have another one.
        diff_id: DiffId,
        /// The bytes as they came, kept in `blobs/`.
        blob: Option<ForeignBlob>,
    },
}

/// The bytes in which a foreign layer came: what save and push give back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignBlob {
    /// Names it in `blobs/sha256/`.
    pub digest: BlobDigest,
    /// Its length in bytes.
    pub size: u64,
    /// As in a manifest: says how it is compressed.
    pub media_type: String,
}

/// `meta.json` of a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Meta {
    /// What the content must hash to: for a built layer its name, for a foreign one the identity with all times.
    pub(super) tree: LayerId,
    pub(super) origin: Origin,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// Directories that the tar it came in puts something into and does not describe, the deepest first; see `settle`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "paths")]
    pub(super) implied: Vec<Vec<u8>>,
    /// The layer of which it has only what differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) over: Option<Base>,
    /// Names this making of it; empty for what came from elsewhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) made: String,
    /// The boot in which it was written.
    pub(super) boot: String,
}

/// A layer from elsewhere, apart from its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// Of the tar as it came.
    pub diff_id: DiffId,
    /// The bytes as they came, kept in `blobs/`.
    pub blob: Option<ForeignBlob>,
    /// Directories that the tar puts something into and does not describe, the deepest first.
    pub implied: Vec<Vec<u8>>,
}

/// The folder with all files of a layer.
pub(super) const WHOLE: &str = "fs";
/// The folder with what differs from the layer's base.
const PART: &str = "part";

/// What a file takes of the disk beside its bytes: an inode, a name, and half a block at its end.
pub(super) const OF_AN_ENTRY: u64 = 2048;

impl Meta {
    /// Roughly what the layer takes of the disk, in bytes, with the blob in which it came.
    pub(super) fn room(&self) -> u64 {
        let blob = match &self.origin {
            Origin::Foreign { blob: Some(blob), .. } => blob.size,
            Origin::Foreign { blob: None, .. } | Origin::Built(_) => 0,
        };
        self.bytes + blob + self.entries * OF_AN_ENTRY
    }

    /// The name of the folder with its files: another one for what is no layer without a second folder, so that nobody
    /// takes it for one.
    pub(super) fn folder(&self) -> &'static str {
        if self.over.is_some() { PART } else { WHOLE }
    }
}

/// A whole layer in the store. Cheap to clone; all clones share what is found out about it.
#[derive(Debug, Clone)]
pub struct Layer(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    /// Where its files are.
    pub(super) store: Store,
    /// Where what is found out about it is written down: the same store, or the one above.
    pub(super) notes: Store,
    pub(super) id: LayerId,
    pub(super) meta: Meta,
    /// The layer that it is over, of the same store.
    pub(super) base: Option<Layer>,
    pub(super) tar: Mutex<Option<KnownTar>>,
}

/// What a process knows of a layer's tar.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownTar {
    pub(super) summary: TarSummary,
    /// This very process read the layer to find it out.
    pub(super) is_own: bool,
}

impl KnownTar {
    /// As it is written down.
    pub(super) fn remembered(summary: TarSummary) -> Self {
        Self { summary, is_own: false }
    }
}

/// The layers that this process has looked at. Weak, because a layer keeps its store open.
pub(super) type Known = HashMap<LayerId, Weak<Inner>>;

impl Store {
    /// A layer by its name; None when it is not there or not whole. From here on it cannot be pruned until this
    /// process ends.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn layer(&self, id: LayerId) -> Result<Option<Layer>, StoreError> {
        let mut known = self.known_layers().lock().unwrap_or_else(PoisonError::into_inner);
        self.known_or_found(id, &mut known)
    }

    fn known_or_found(&self, id: LayerId, known: &mut Known) -> Result<Option<Layer>, StoreError> {
        if let Some(inner) = known.get(&id).and_then(Weak::upgrade) {
            return Ok(Some(Layer(inner)));
        }
        let own = match self.with_lease(id, || self.read_meta(id))? {
            Some(meta) => self.is_trustworthy(id, &meta)?.then(|| (self.clone(), meta)),
            None => None,
        };
        let found = if own.is_some() { own } else { self.layer_below(id)? };
        let Some((store, meta)) = found else { return Ok(None) };
        let base = match &meta.over {
            // What it is over is of the same store, and therefore leased while this one is; it proves itself alone.
            Some(base) => match self.known_or_found(base.layer, known)? {
                Some(found) if found.0.store.path() == store.path() => Some(found),
                _ => return Ok(None),
            },
            None => None,
        };
        Ok(Some(self.know(known, store, id, meta, base)))
    }

    /// The layer that this process has just moved to its place, and that is over no other. It was asked for before, and is
    /// leased since then.
    pub(super) fn just_published(&self, id: LayerId, meta: Meta) -> Layer {
        let mut known = self.known_layers().lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&id).and_then(Weak::upgrade) {
            Some(inner) => Layer(inner),
            None => self.know(&mut known, self.clone(), id, meta, None),
        }
    }

    fn know(&self, known: &mut Known, store: Self, id: LayerId, meta: Meta, base: Option<Layer>) -> Layer {
        let inner = Arc::new(Inner { store, notes: self.clone(), id, meta, base, tar: Mutex::default() });
        known.insert(id, Arc::downgrade(&inner));
        Layer(inner)
    }

    /// The layer whose tar has this digest, if one is known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn by_diff_id(&self, diff_id: DiffId) -> Result<Option<LayerId>, StoreError> {
        let mut named = self.read_small(&diff_id_path(diff_id))?;
        if let (None, Some(lower)) = (&named, self.lower()) {
            named = lower.read_small(&diff_id_path(diff_id))?;
        }
        let named = named.and_then(|text| String::from_utf8(text).ok());
        let candidates =
            named.and_then(|text| text.trim().parse().ok()).into_iter().chain([foreign_id(diff_id)]);
        for id in candidates {
            if self.layer(id)?.is_some() {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The names of all layers, whole or not, sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn layer_ids(&self) -> Result<Vec<LayerId>, StoreError> {
        Ok(self.names_in("layers")?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Brings these layers to the disk, and everything else on the store's file system with them: one `syncfs`,
    /// which is much cheaper than an `fsync` a file. From then on they need no proof after a loss of power.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn make_durable(&self, layers: &[LayerId]) -> Result<(), StoreError> {
        let mut bases = Vec::new();
        for id in layers {
            bases.extend(self.layer(*id)?.and_then(|layer| Some(layer.0.base.as_ref()?.id())));
        }
        let pending: Vec<String> = layers
            .iter()
            .chain(&bases)
            // Those of a lower store are not ours to sync.
            .filter(|id| self.exists(&layer_path(**id)))
            .filter(|id| !self.is_durable(**id))
            .map(|id| format!("layers/{id}/durable"))
            .collect();
        if pending.is_empty() {
            return Ok(());
        }
        // `syncfs` needs a descriptor that is open for reading or writing, which the folder's is.
        fs::syncfs(self.dir()).map_err(StoreError::io("sync", "."))?;
        pending.iter().try_for_each(|path| self.mark(path))
    }

    pub(super) fn read_meta(&self, id: LayerId) -> Result<Option<Meta>, StoreError> {
        let json = self.read_small(&format!("{}/meta.json", layer_path(id)))?;
        Ok(json.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Whether a layer can be used as it is. One that was written before a loss of power has to prove itself.
    fn is_trustworthy(&self, id: LayerId, meta: &Meta) -> Result<bool, StoreError> {
        let durable = format!("{}/durable", layer_path(id));
        if self.needs_no_proof(id, meta) {
            return Ok(true);
        }
        if self.has_base(meta)? && self.is_as_recorded(id, meta)? {
            // It survived on the disk, so it is on the disk.
            self.mark(&durable)?;
            return Ok(true);
        }
        self.drop_broken(id)?;
        Ok(false)
    }

    /// It is believed without being read, if what it is over is.
    pub(super) fn needs_no_proof(&self, id: LayerId, meta: &Meta) -> bool {
        let is_believed = meta.boot == self.boot_id() || self.is_durable(id);
        is_believed && self.has_base(meta).unwrap_or(false)
    }

    /// Marked in this life of the store.
    fn is_durable(&self, id: LayerId) -> bool {
        let mark = self.read_small(&format!("{}/durable", layer_path(id)));
        mark.is_ok_and(|mark| mark.is_some_and(|mark| mark == self.life().as_bytes()))
    }

    /// Whether a layer's files are those that were stored.
    pub(super) fn is_as_recorded(&self, id: LayerId, meta: &Meta) -> Result<bool, StoreError> {
        Ok(self.tree_of(id, meta)? == Some(meta.tree))
    }

    /// The identity that a layer's directory has now, by the rules it was recorded with; None if it cannot be read.
    fn tree_of(&self, id: LayerId, meta: &Meta) -> Result<Option<LayerId>, StoreError> {
        let times = match meta.origin {
            Origin::Built(times) => times,
            Origin::Foreign { .. } => OwnTimes::KeepAll,
        };
        let folders = match self.open_folders(id, meta) {
            Ok(folders) => folders,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        match layer::identity(folders.as_folders(), self.flavour(), times) {
            Ok(tree) => Ok(Some(tree)),
            Err(layer::LayerError::Io { .. } | layer::LayerError::Changed { .. }) => Ok(None),
            Err(error) => Err(StoreError::layer(Some(id))(error)),
        }
    }

    /// Proves a layer from its files alone: None when there is no readable `meta.json`, else whether the content is
    /// what was recorded.
    pub(super) fn prove(&self, id: LayerId) -> Result<Option<bool>, StoreError> {
        match self.read_meta(id)? {
            Some(meta) => self.is_as_recorded(id, &meta).map(Some),
            None => Ok(None),
        }
    }

    /// Whether there is a layer of that name with readable metadata. Does not lease it.
    pub(super) fn has_layer(&self, id: LayerId) -> bool {
        self.exists(&format!("{}/meta.json", layer_path(id)))
    }

    /// The blob in which a layer came, if it is kept.
    pub(super) fn blob_of(&self, id: LayerId) -> Result<Option<BlobDigest>, StoreError> {
        Ok(self.read_meta(id)?.and_then(|meta| match meta.origin {
            Origin::Foreign { blob, .. } => blob.map(|blob| blob.digest),
            Origin::Built(_) => None,
        }))
    }

    /// What is written down about a layer's tar.
    pub(super) fn remembered_tar(&self, id: LayerId) -> Result<Option<TarSummary>, StoreError> {
        let text = self.read_small(&format!("{}/diff_id", layer_path(id)))?;
        Ok(text.and_then(|text| String::from_utf8(text).ok()).and_then(|text| parse_tar(&text)))
    }

    /// Removes a layer that is not whole. Looks again with everybody else shut out: another process may have found
    /// the same, and put a good one in its place.
    pub(super) fn drop_broken(&self, id: LayerId) -> Result<(), StoreError> {
        let temp = self.temp()?;
        self.excluding_leases(|_| match self.read_meta(id)? {
            Some(meta) if self.needs_no_proof(id, &meta) => Ok(()),
            _ => self.move_layer(id, &temp),
        })
    }

    /// Moves a layer into a temporary folder, with which it vanishes.
    pub(super) fn move_layer(&self, id: LayerId, temp: &TempDir) -> Result<(), StoreError> {
        match fs::renameat(self.dir(), layer_path(id), temp.dir(), id.to_string()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY) => remove_tree(self.dir(), layer_path(id).as_str())
                .map_err(StoreError::io("remove", layer_path(id))),
            Err(error) => Err(StoreError::io("remove", layer_path(id))(error)),
        }
    }

    /// Opens the files of a layer with this `meta`.
    pub(super) fn open_folders(&self, id: LayerId, meta: &Meta) -> Result<OpenFolders, StoreError> {
        let open = |path: String| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            fs::openat(self.dir(), &path, flags, Mode::empty()).map_err(StoreError::io("open", path))
        };
        let top = open(format!("{}/{}", layer_path(id), meta.folder()))?;
        let Some(base) = &meta.over else { return Ok(OpenFolders::whole(top)) };
        let base = open(format!("{}/{WHOLE}", layer_path(base.layer)))?;
        OpenFolders::over(top, base, self.flavour()).map_err(StoreError::layer(Some(id)))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        fs::accessat(self.dir(), path, fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    fn mark(&self, path: &str) -> Result<(), StoreError> {
        self.write_small(path, self.life().as_bytes())
    }
}

/// The name of a layer that came from elsewhere: two archives with the same tar mean the same layer.
pub(crate) fn foreign_id(diff_id: DiffId) -> LayerId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"foreign");
    hasher.update(&diff_id.0.0);
    LayerId(*hasher.finalize().as_bytes())
}

pub(super) fn layer_path(id: LayerId) -> String {
    format!("layers/{id}")
}

pub(super) fn diff_id_path(diff_id: DiffId) -> String {
    format!("diffids/{}", diff_id.hex())
}

pub(super) fn parse_tar(text: &str) -> Option<TarSummary> {
    // Without the line end it was cut off.
    let (diff_id, size) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(TarSummary { diff_id: diff_id.parse().ok()?, size: size.parse().ok()? })
}

/// Paths of any bytes in JSON.
mod paths {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(paths: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(paths.iter().map(|path| BASE64_STANDARD.encode(path)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| BASE64_STANDARD.decode(text).map_err(D::Error::custom)).collect()
    }
}
