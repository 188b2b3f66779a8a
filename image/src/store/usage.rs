//! What the store takes of the disk, and for whom.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::{self, AtFlags, FileType};

use super::disk::Meter;
use super::lease::LayerUser;
use super::stack::MERGED;
use super::{Store, StoreError};
use crate::digest::{ImageId, LayerId};

/// Folders that are counted by what they hold; the rest is counted folder by folder.
const KNOWN: &[&str] = &[
    "indexes",
    "manifests",
    "lists",
    "digests",
    "failed",
    "layers",
    "blobs",
    "diffids",
    "images",
    "names",
    "records",
    "logs",
    "inputs",
    "remotes",
    "copies",
    "builds",
    "tmp",
    "containers",
    "volumes",
    "leases",
    MERGED,
    "steps",
];

/// Bytes of the disk, by what they are for. A file with several names counts once, for the first that has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Every layer, with the compressed blob that it came in.
    pub layers: BTreeMap<LayerId, LayerUsage>,
    /// Configs, manifests, indexes and names.
    pub images: u64,
    /// Cache records and what lies beside them, logs, and records of builds.
    pub records: u64,
    /// Folders that stand for several layers, without the files, which are those of the layers.
    pub merged: u64,
    /// What is in the making, and what was left behind.
    pub temporary: u64,
    /// Containers, by the name of their folder.
    pub containers: BTreeMap<String, u64>,
    /// Kept failed steps, by the name of their folder.
    pub failed: BTreeMap<String, u64>,
    /// Named volumes.
    pub volumes: BTreeMap<String, u64>,
    /// What others keep in folders of their own, by the name of the folder: cache mounts, downloads.
    pub others: BTreeMap<String, u64>,
    /// Indexes, locks, and the folders that hold everything.
    pub rest: u64,
    /// The layers of each image, lowest first, and those that some of them are over.
    pub image_layers: BTreeMap<ImageId, Vec<LayerId>>,
}

/// One layer's share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerUsage {
    /// Bytes on the disk, the kept blob included.
    pub bytes: u64,
    /// How many images have it. A layer of none belongs to the build cache.
    pub images: u32,
    /// Running processes and containers that use it.
    pub users: BTreeSet<LayerUser>,
}

impl Usage {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.layers.values().map(|layer| layer.bytes).sum::<u64>()
            + self.images
            + self.records
            + self.merged
            + self.temporary
            + self.containers.values().sum::<u64>()
            + self.failed.values().sum::<u64>()
            + self.volumes.values().sum::<u64>()
            + self.others.values().sum::<u64>()
            + self.rest
    }

    /// Layers that no image has, and what can be made anew.
    pub fn cache(&self) -> u64 {
        self.layers.values().filter(|layer| layer.images == 0).map(|layer| layer.bytes).sum::<u64>()
            + self.records
            + self.merged
    }
}

impl Store {
    /// Measures the store by looking at every file of it.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut meter = Meter::default();
        let mut in_use = self.layers_in_use()?;
        let mut usage = Usage::default();
        for id in self.layer_ids()? {
            let mut bytes = self.measure(&mut meter, &format!("layers/{id}"))?;
            if let Some(blob) = self.blob_of(id)? {
                bytes += self.measure(&mut meter, &format!("blobs/sha256/{}", blob.hex()))?;
            }
            let users = in_use.remove(&id).unwrap_or_default();
            usage.layers.insert(id, LayerUsage { bytes, images: 0, users });
        }
        for id in self.own_image_ids()? {
            let Some(image) = self.own_image(id)? else { continue };
            let mut layers = image.layers;
            layers.extend(self.bases_of(&layers)?);
            for layer in layers.iter().collect::<BTreeSet<_>>() {
                if let Some(layer) = usage.layers.get_mut(layer) {
                    layer.images += 1;
                }
            }
            usage.image_layers.insert(id, layers);
        }
        for folder in ["images", "indexes", "manifests", "lists", "digests", "names"] {
            usage.images += self.measure(&mut meter, folder)?;
        }
        for folder in ["records", "logs", "inputs", "builds", "remotes", "copies"] {
            usage.records += self.measure(&mut meter, folder)?;
        }
        usage.merged = self.measure(&mut meter, MERGED)?;
        usage.temporary = self.measure(&mut meter, "tmp")?;
        usage.containers = self.measure_each(&mut meter, "containers")?;
        usage.failed = self.measure_each(&mut meter, "failed")?;
        usage.volumes = self.measure_each(&mut meter, "volumes")?;
        for folder in self.names_in(".")? {
            if !KNOWN.contains(&&*folder) && self.is_folder(&folder) {
                usage.others.insert(folder.clone(), self.measure(&mut meter, &folder)?);
            }
        }
        let measured = usage.total();
        // So that everything adds up, whatever else there is.
        usage.rest = self.measure(&mut Meter::default(), ".")?.saturating_sub(measured);
        Ok(usage)
    }

    /// What a part of the store takes of the disk, in bytes. `path` is relative to [`Store::path`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn disk_usage(&self, path: &str) -> Result<u64, StoreError> {
        self.measure(&mut Meter::default(), path)
    }

    fn is_folder(&self, name: &str) -> bool {
        let stat = fs::statat(self.dir(), name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    fn measure_each(&self, meter: &mut Meter, folder: &str) -> Result<BTreeMap<String, u64>, StoreError> {
        let names = self.names_in(folder)?.into_iter();
        names.map(|name| Ok((name.clone(), self.measure(meter, &format!("{folder}/{name}"))?))).collect()
    }

    pub(super) fn measure(&self, meter: &mut Meter, path: &str) -> Result<u64, StoreError> {
        meter.add(self.dir(), path).map_err(StoreError::io("measure", path))
    }
}
