//! Layers from elsewhere, fetched when somebody needs their files.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use rbuild_image::digest::LayerId;
use rbuild_image::layer::unpack_blob;
use rbuild_image::manifest::Descriptor;
use rbuild_image::place;
use rbuild_image::registry::{Compression, keep_packed};
use rbuild_image::store::{Layer, Store};

use super::{Carry, Held};
use crate::event::{CacheEvent, Event};

/// Layers that are fetched at the same time.
const AT_ONCE: usize = 6;
/// What a layer may always inflate to, in bytes.
const MAX_INFLATED: u64 = 4 << 30;
/// What it may inflate to for each byte that it has, where that is more. Real layers seldom reach 20.
const MAX_INFLATION: u64 = 200;

impl Carry<'_> {
    /// Brings those of `layers` into the store that are not there. False if one of them cannot be had; all of which
    /// that is known are lost then.
    pub(crate) fn obtain_all(&self, store: &Store, layers: &[LayerId]) -> bool {
        let missing: Vec<LayerId> =
            layers.iter().copied().filter(|id| !matches!(store.layer(*id), Ok(Some(_)))).collect();
        // Without these the others may be of no use: the steps that made them run again, and may lead elsewhere.
        let nowhere: Vec<LayerId> =
            missing.iter().copied().filter(|id| self.holders(*id).is_empty()).collect();
        if !nowhere.is_empty() {
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).extend(nowhere);
            return false;
        }
        let next = AtomicUsize::new(0);
        let failed = AtomicUsize::new(0);
        let work = || {
            while let Some(id) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.obtain(store, *id).is_none() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..AT_ONCE.min(missing.len()) {
                scope.spawn(work);
            }
            work();
        });
        failed.into_inner() == 0
    }

    /// Brings a layer into the store. None if nobody has it; it is lost then.
    pub(crate) fn obtain(&self, store: &Store, id: LayerId) -> Option<Layer> {
        let turn = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(fetching.entry(id).or_default())
        };
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Some(layer)) = store.layer(id) {
            return Some(layer);
        }
        if !self.is_lost(id) {
            for held in self.holders(id).iter().filter(|held| !self.reopened.is_silent(held)) {
                match self.fetch(store, id, held) {
                    Ok(layer) => return Some(layer),
                    Err(cause) => {
                        self.broken
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .extend(held.layer.blob.as_ref().map(|blob| blob.digest));
                        self.trouble(&format!("a layer of the cache cannot be used: {cause}"));
                    }
                }
            }
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
        None
    }

    fn fetch(&self, store: &Store, id: LayerId, held: &Held) -> Result<Layer, String> {
        let begun = Instant::now();
        let name = held.place.name();
        let Some(blob) = &held.layer.blob else { return Err(format!("{name} does not say where it is")) };
        // Not in the layer's own folder: that vanishes when the layer is published.
        let beside = store.temp().map_err(|cause| cause.to_string())?;
        let file = beside.path().join("blob");
        place::fetch(&*held.place, blob, &file).map_err(|cause| {
            if cause.may_pass() {
                self.reopened.fell_silent(held);
            }
            cause.to_string()
        })?;
        let wrong = |reason: &dyn std::fmt::Display| format!("blob {} of {name}: {reason}", blob.digest);
        let layer = unpack(store, id, held, blob, &file).map_err(|reason| wrong(&reason))?;
        // If it stays, prune removes it.
        let _ = store.remove_remote(id);
        let compression = held.layer.packed.as_deref().and_then(Compression::from_name);
        if let Some(compression) = compression {
            // Only saves the work of compressing it again.
            let _ = keep_packed(store, &layer, compression, &file, (blob.digest, blob.size));
        }
        let (size, duration) = (blob.size, begun.elapsed());
        self.observer.on(Event::Cache(CacheEvent::Fetched { layer: id, from: &name, size, duration }));
        Ok(layer)
    }
}

fn unpack(
    store: &Store,
    id: LayerId,
    held: &Held,
    blob: &Descriptor,
    file: &std::path::Path,
) -> Result<Layer, String> {
    let temp = store.temp().map_err(|cause| cause.to_string())?;
    let root = temp.make_dir("fs", 0o755).map_err(|cause| cause.to_string())?;
    let file = File::open(file).map_err(|cause| cause.to_string())?;
    let limit = MAX_INFLATED.max(blob.size.saturating_mul(MAX_INFLATION));
    unpack_blob(file, limit, root.as_fd(), store.flavour()).map_err(|cause| cause.to_string())?;
    drop(root);
    let published = store.publish_carried_layer(temp, held.layer.times, id, held.layer.diff_id);
    published
        .map_err(|cause| cause.to_string())?
        .ok_or_else(|| "it holds other files than the cache says".to_owned())
}
