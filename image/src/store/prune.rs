//! Removing what nobody needs.
//!
//! A layer is needed by an image, a cache record, a container, or a process that has it in its lease. Layers are
//! moved out of their places under the exclusive lock, which takes a moment, and removed after it.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::disk::{self, Meter};
use super::failed::FAILED_STEPS_STAY;
use super::records::record_path;
use super::{Image, Named, Store, StoreError, indexes, repo_digests};
use crate::digest::{ImageId, LayerId, RecordKey};

/// What is to be removed.
pub struct PruneRequest<'a> {
    /// The records that are to be forgotten, and with them the layers that nothing else needs.
    pub forget: &'a dyn Fn(RecordKey) -> bool,
    /// Which images without a name are to go.
    pub nameless: &'a dyn Fn(&Image) -> bool,
    /// Images without a name, and blobs without a layer, stay until they are that old: another process may be about
    /// to give them one.
    pub min_age: Duration,
    /// Logs and lists of inputs of steps without a record stay until they are that old: they are of steps that
    /// failed, and people look at them.
    pub min_log_age: Duration,
    /// The layer that a record leads to; None for a record that cannot be read, which is then removed.
    pub layer_of_record: &'a dyn Fn(&[u8]) -> Option<LayerId>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images without a name.
    pub images: Vec<ImageId>,
    /// Cache records.
    pub records: u64,
    /// Layers.
    pub layers: Vec<LayerId>,
    /// Bytes of the disk that are free now.
    pub bytes: u64,
}

impl std::fmt::Debug for PruneRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PruneRequest")
            .field("min_age", &self.min_age)
            .field("min_log_age", &self.min_log_age)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Removes what `request` says, what dead processes left, and every layer and blob that is not needed after that.
    ///
    /// # Errors
    /// When something cannot be read or removed. What was removed until then stays removed; the store is whole.
    pub fn prune(&self, request: &PruneRequest<'_>) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned { bytes: self.measure(&mut Meter::default(), "tmp")?, ..Pruned::default() };
        self.sweep()?;
        self.sweep_step_locks()?;
        pruned.bytes -= self.measure(&mut Meter::default(), "tmp")?.min(pruned.bytes);
        pruned.bytes += self.expire_failed_steps(FAILED_STEPS_STAY)?.1;
        self.prune_images(request, &mut pruned)?;
        self.forget_manifests(&pruned.images)?;
        for path in self.unneeded_manifests()? {
            if self.is_old(&path, request.min_age)? {
                self.remove_counted(&path, &mut pruned)?;
            }
        }
        let wanted = self.prune_records(request, &mut pruned)?;
        let trash = self.temp()?;
        pruned.layers = self.excluding_leases(|leased| {
            let mut needed = wanted;
            needed.extend(leased.keys());
            for id in self.own_image_ids()? {
                needed.extend(self.own_image(id)?.into_iter().flat_map(|image| image.layers));
            }
            needed.extend(self.bases_of(&needed)?);
            let unneeded: Vec<LayerId> =
                self.layer_ids()?.into_iter().filter(|id| !needed.contains(id)).collect();
            unneeded.iter().try_for_each(|id| self.move_layer(*id, &trash))?;
            self.move_merged(leased, &trash)?;
            Ok(unneeded)
        })?;
        let mut meter = Meter::default();
        let moved = self.measure(&mut meter, trash.name())?;
        pruned.bytes += moved.saturating_sub(meter.held_elsewhere());
        drop(trash);
        self.prune_diff_ids()?;
        self.prune_blobs(request, &mut pruned)?;
        Ok(pruned)
    }

    fn prune_images(&self, request: &PruneRequest<'_>, pruned: &mut Pruned) -> Result<(), StoreError> {
        let meanings: BTreeSet<Named> = self.names()?.into_iter().map(|(_, meaning)| meaning).collect();
        for id in self.own_index_ids()?.into_iter().filter(|id| !meanings.contains(&Named::Index(*id))) {
            let path = indexes::path(id);
            if self.is_old(&path, request.min_age)? {
                self.remove_counted(&repo_digests::path(id.into()), pruned)?;
                self.remove_counted(&path, pruned)?;
            }
        }
        let mut named = BTreeSet::new();
        for meaning in meanings {
            named.extend(self.images_of(meaning)?);
        }
        for id in self.own_image_ids()?.into_iter().filter(|id| !named.contains(id)) {
            let path = format!("images/{}", id.hex());
            let goes = self.own_image(id)?.is_none_or(|image| (request.nameless)(&image));
            if goes && self.is_old(&path, request.min_age)? && self.remove_counted(&path, pruned)? {
                self.remove_counted(&repo_digests::path(id.into()), pruned)?;
                pruned.images.push(id);
            }
        }
        Ok(())
    }

    /// Removes records, and says which layers those that stay need.
    fn prune_records(
        &self,
        request: &PruneRequest<'_>,
        pruned: &mut Pruned,
    ) -> Result<BTreeSet<LayerId>, StoreError> {
        let mut wanted = BTreeSet::new();
        for key in self.record_keys()? {
            let path = record_path(key);
            let layer = self.read_record(&path)?.and_then(|bytes| (request.layer_of_record)(&bytes));
            let is_of_use = |layer: &LayerId| self.can_have(*layer) || self.is_elsewhere(*layer);
            match layer.filter(|layer| !(request.forget)(key) && is_of_use(layer)) {
                Some(layer) => drop(wanted.insert(layer)),
                None => {
                    self.remove_counted(&format!("logs/{key}"), pruned)?;
                    self.remove_counted(&format!("inputs/{key}"), pruned)?;
                    pruned.records += u64::from(self.remove_counted(&path, pruned)?);
                }
            }
        }
        for path in self.useless_notes(&wanted)? {
            self.remove_counted(&path, pruned)?;
        }
        for path in self.beside_no_record()? {
            if self.is_old(&path, request.min_log_age)? {
                self.remove_counted(&path, pruned)?;
            }
        }
        Ok(wanted)
    }

    fn can_have(&self, layer: LayerId) -> bool {
        self.has_layer(layer) || self.has_layer_below(layer)
    }

    /// The index of DiffIDs may name layers that are gone.
    fn prune_diff_ids(&self) -> Result<(), StoreError> {
        for name in self.names_in("diffids")? {
            let path = format!("diffids/{name}");
            let text = self.read_small(&path)?.unwrap_or_default();
            let layer = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
            if !layer.is_some_and(|layer| self.can_have(layer)) {
                self.remove_small(&path)?;
            }
        }
        Ok(())
    }

    fn prune_blobs(&self, request: &PruneRequest<'_>, pruned: &mut Pruned) -> Result<(), StoreError> {
        let mut kept = BTreeSet::new();
        for id in self.layer_ids()? {
            kept.extend(self.blob_of(id)?.map(|blob| blob.hex()));
        }
        for name in self.names_in("blobs/sha256")?.into_iter().filter(|name| !kept.contains(name)) {
            let path = format!("blobs/sha256/{name}");
            if self.is_old(&path, request.min_age)? {
                self.remove_counted(&path, pruned)?;
            }
        }
        Ok(())
    }

    fn remove_counted(&self, path: &str, pruned: &mut Pruned) -> Result<bool, StoreError> {
        let bytes = self.measure(&mut Meter::default(), path)?;
        let removed = self.remove_small(path)?;
        pruned.bytes += if removed { bytes } else { 0 };
        Ok(removed)
    }

    pub(super) fn is_old(&self, path: &str, min_age: Duration) -> Result<bool, StoreError> {
        let modified = disk::modified(self.dir(), path).map_err(StoreError::io("stat", path))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let age = modified.map(|secs| i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(secs));
        Ok(age.is_some_and(|age| age >= i64::try_from(min_age.as_secs()).unwrap_or(i64::MAX)))
    }
}
