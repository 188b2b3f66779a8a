//! Proving the store from its files alone: every name against the content that it is the digest of.

use std::fmt;
use std::fs::File;
use std::io;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use super::layers::layer_path;
use super::records::record_path;
use super::{Named, Store, StoreError, indexes};
use crate::digest::{BlobDigest, DiffId, Digest, HashingReader, ImageId, IndexId, LayerId, RecordKey};
use crate::layer::{self, LayerError};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// A layer's metadata or files cannot be read.
    LayerUnreadable(LayerId),
    /// A layer's files are not those that were stored.
    LayerChanged(LayerId),
    /// A layer's tar has another digest than the one that is remembered.
    DiffIdWrong {
        /// The layer.
        layer: LayerId,
        /// What is remembered.
        remembered: DiffId,
        /// What it is.
        actual: DiffId,
    },
    /// The blob in which a layer came is gone.
    BlobMissing {
        /// The layer.
        layer: LayerId,
        /// Its blob.
        blob: BlobDigest,
    },
    /// A blob's bytes are not those of its name.
    BlobDamaged(String),
    /// An image's file is not whole.
    ImageDamaged(ImageId),
    /// An image has a layer that is not there.
    ImageIncomplete {
        /// The image.
        image: ImageId,
        /// The missing layer.
        layer: LayerId,
    },
    /// An index is not whole.
    IndexDamaged(IndexId),
    /// An index leads to an image that is not there.
    IndexIncomplete {
        /// The index.
        index: IndexId,
        /// The missing image.
        image: ImageId,
    },
    /// A kept manifest is not what it is called after. It counts as not there.
    ManifestDamaged(String),
    /// A name leads to an image or an index that is not there.
    NameDangling {
        /// The name, with tag.
        name: String,
        /// What is missing.
        image: Named,
    },
    /// A cache record is not whole. It counts as a miss.
    RecordDamaged(RecordKey),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LayerUnreadable(id) => write!(f, "layer {id} cannot be read"),
            Self::LayerChanged(id) => write!(f, "the files of layer {id} are not those that were stored"),
            Self::DiffIdWrong { layer, remembered, actual } => {
                write!(f, "the tar of layer {layer} is {actual}, not {remembered}")
            }
            Self::BlobMissing { layer, blob } => write!(f, "the blob {blob} of layer {layer} is missing"),
            Self::BlobDamaged(name) => write!(f, "the bytes of blob sha256:{name} do not match its digest"),
            Self::ImageDamaged(id) => write!(f, "the config of image {id} does not match its digest"),
            Self::ImageIncomplete { image, layer } => write!(f, "image {image} lacks layer {layer}"),
            Self::IndexDamaged(id) => write!(f, "index {id} is not what its digest says"),
            Self::IndexIncomplete { index, image } => write!(f, "index {index} lacks image {image}"),
            Self::ManifestDamaged(name) => {
                write!(f, "the bytes of manifest sha256:{name} do not match its digest")
            }
            Self::NameDangling { name, image } => write!(f, "{name} names the missing image {image}"),
            Self::RecordDamaged(key) => write!(f, "cache record {key} is damaged"),
        }
    }
}

impl Store {
    /// Reads the whole store and returns every problem, sorted. Changes nothing.
    ///
    /// # Errors
    /// When the store itself cannot be read.
    pub fn fsck(&self) -> Result<Vec<Problem>, StoreError> {
        let mut problems = Vec::new();
        for id in self.layer_ids()? {
            self.check_layer(id, &mut problems)?;
        }
        for name in self.names_in("blobs/sha256")? {
            if !self.check_blob(&name)? {
                problems.push(Problem::BlobDamaged(name));
            }
        }
        for image in self.own_image_ids()? {
            match self.own_image(image)? {
                Some(found) => problems.extend(
                    found
                        .layers
                        .into_iter()
                        .filter(|layer| !self.has_layer(*layer) && !self.has_layer_below(*layer))
                        .map(|layer| Problem::ImageIncomplete { image, layer }),
                ),
                None => problems.push(Problem::ImageDamaged(image)),
            }
        }
        self.check_indexes(&mut problems)?;
        problems.extend(self.damaged_manifests()?.into_iter().map(Problem::ManifestDamaged));
        for (name, image) in self.names()? {
            let folder = if matches!(image, Named::Image(_)) { "images" } else { "indexes" };
            if !self.exists(&format!("{folder}/{}", image.digest().hex()))
                && self.image_here(image)?.is_none()
            {
                problems.push(Problem::NameDangling { name: name.familiar(), image });
            }
        }
        for key in self.record_keys()? {
            if self.read_record(&record_path(key))?.is_none() {
                problems.push(Problem::RecordDamaged(key));
            }
        }
        problems.sort_unstable();
        problems.dedup();
        let mut there = Vec::with_capacity(problems.len());
        for problem in problems {
            if self.is_there(&problem)? {
                there.push(problem);
            }
        }
        Ok(there)
    }

    /// Whether what a problem is about is still in the store: another process may have removed it meanwhile.
    pub(super) fn is_there(&self, problem: &Problem) -> Result<bool, StoreError> {
        let path = match problem {
            Problem::LayerUnreadable(layer)
            | Problem::LayerChanged(layer)
            | Problem::DiffIdWrong { layer, .. }
            | Problem::BlobMissing { layer, .. } => layer_path(*layer),
            Problem::BlobDamaged(name) => format!("blobs/sha256/{name}"),
            Problem::ImageDamaged(image) | Problem::ImageIncomplete { image, .. } => {
                format!("images/{}", image.hex())
            }
            Problem::IndexDamaged(index) | Problem::IndexIncomplete { index, .. } => indexes::path(*index),
            Problem::ManifestDamaged(name) => format!("manifests/{name}"),
            Problem::RecordDamaged(key) => record_path(*key),
            Problem::NameDangling { name, image } => {
                let meaning = name.parse().map_or(Ok(None), |name| self.meaning(&name))?;
                return Ok(meaning == Some(*image));
            }
        };
        Ok(self.exists(&path))
    }

    fn check_indexes(&self, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        for index in self.own_index_ids()? {
            let Some(found) = self.index(index)? else {
                problems.push(Problem::IndexDamaged(index));
                continue;
            };
            let missing = found.images.into_iter().map(|(_, image)| image);
            for image in missing {
                if !self.exists(&format!("images/{}", image.hex())) && self.image(image)?.is_none() {
                    problems.push(Problem::IndexIncomplete { index, image });
                }
            }
        }
        Ok(())
    }

    fn check_layer(&self, id: LayerId, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        match self.prove(id)? {
            None => problems.push(Problem::LayerUnreadable(id)),
            Some(false) => problems.push(Problem::LayerChanged(id)),
            Some(true) => {
                if let Some(wrong) = self.check_diff_id(id)? {
                    problems.push(wrong);
                }
            }
        }
        if let Some(blob) = self.blob_of(id)?.filter(|blob| !self.has_blob(*blob)) {
            problems.push(Problem::BlobMissing { layer: id, blob });
        }
        Ok(())
    }

    fn check_diff_id(&self, id: LayerId) -> Result<Option<Problem>, StoreError> {
        let Some(remembered) = self.remembered_tar(id)? else { return Ok(None) };
        let Some(meta) = self.read_meta(id)? else { return Ok(None) };
        let folders = match self.open_folders(id, &meta) {
            Ok(folders) => folders,
            Err(error) if error.is_missing() => return Ok(Some(Problem::LayerUnreadable(id))),
            Err(error) => return Err(error),
        };
        match layer::diff_id(folders.as_folders(), self.flavour()) {
            Ok(actual) if actual == remembered.diff_id => Ok(None),
            Ok(actual) => {
                Ok(Some(Problem::DiffIdWrong { layer: id, remembered: remembered.diff_id, actual }))
            }
            Err(LayerError::Io { .. } | LayerError::Changed { .. }) => Ok(Some(Problem::LayerUnreadable(id))),
            Err(error) => Err(StoreError::layer(Some(id))(error)),
        }
    }

    fn check_blob(&self, name: &str) -> Result<bool, StoreError> {
        let path = format!("blobs/sha256/{name}");
        let file = match fs::openat(self.dir(), &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        let mut reader = HashingReader::new(File::from(file));
        io::copy(&mut reader, &mut io::sink()).map_err(|source| StoreError::Io {
            action: "read",
            path: path.into(),
            source,
        })?;
        Ok(Digest::from_hex(name).is_ok_and(|expected| reader.finish().0 == expected))
    }

    fn has_blob(&self, blob: BlobDigest) -> bool {
        self.exists(&format!("blobs/sha256/{}", blob.hex()))
    }
}
