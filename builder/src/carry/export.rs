//! Writing the artifact of a build: blobs first, then the manifest that names them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rbuild_image::digest::{BlobDigest, Digest, LayerId, RecordKey};
use rbuild_image::json::to_vec_go;
use rbuild_image::manifest::{Descriptor, Manifest, media_type};
use rbuild_image::place::{self, CACHE_CONFIG, CACHE_CREATED, CACHE_PREVIOUS};
use rbuild_image::registry::pack;
use rbuild_image::store::{Layer, Origin, Store};
use rbuild_image::time::Timestamp;

use super::Carry;
use super::format::{Artifact, CarriedLayer, CarriedStep, INPUTS, VERSION, encode_inputs};
use crate::chain::Chain;
use crate::explain::BuildStep;
use crate::key::StepRecord;
use crate::request::{CacheMode, CacheTarget};

/// A longer log, in compressed bytes, stays where it was written.
const MAX_LOG: u64 = 64 << 10;
/// Layers that are compressed and sent at the same time.
const AT_ONCE: usize = 4;

/// Writes what a build knows to `target`. `steps` are those of the build, `chains` are what its images consist of.
pub(crate) fn export(
    store: &Store,
    carry: &Carry<'_>,
    steps: &[BuildStep],
    chains: &[Chain],
    target: &CacheTarget,
) -> Result<(), String> {
    let steps = carried_steps(store, steps)?;
    let in_image: BTreeSet<LayerId> = chains.iter().flat_map(Chain::layers).collect();
    let wanted: BTreeSet<LayerId> = steps
        .iter()
        .map(|step| step.record.layer)
        .filter(|layer| target.mode == CacheMode::Max || in_image.contains(layer))
        .collect();
    let export = Export { store, carry, target };
    let layers = export.layers(&wanted.into_iter().collect::<Vec<_>>())?;
    let inputs = export.inputs(&steps)?;
    let copies = carry.copied.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let artifact = Artifact { version: VERSION, steps, copies, layers, inputs };
    let config = serde_json::to_vec(&artifact).expect("strings, numbers and lists");
    let config = export.bytes(CACHE_CONFIG, &config)?;
    // What cannot be read any more is of no use to anybody, and is written over.
    let previous = target.place.head().ok().flatten().map(|bytes| Digest::of(&bytes));
    let manifest = manifest(config, &artifact, previous);
    target.place.switch(&to_vec_go(&manifest)).map_err(|cause| cause.to_string())
}

/// Every step whose result is known, with its record.
pub(super) fn carried_steps(store: &Store, steps: &[BuildStep]) -> Result<Vec<CarriedStep>, String> {
    let mut carried = Vec::with_capacity(steps.len());
    for step in steps {
        let Some(key) = step.key else { continue };
        let bytes = store.peek_record(key).map_err(|cause| cause.to_string())?;
        let record = bytes.and_then(|bytes| serde_json::from_slice::<StepRecord>(&bytes).ok());
        let Some(mut record) = record else { continue };
        let log = if record.log { short_log(&store.log_path(key)) } else { None };
        record.log = log.is_some();
        carried.push(CarriedStep { head: step.head.clone(), record, log });
    }
    Ok(carried)
}

fn short_log(path: &Path) -> Option<String> {
    let is_short = std::fs::metadata(path).ok()?.len() <= MAX_LOG;
    is_short.then(|| std::fs::read(path).ok()).flatten().map(|bytes| BASE64_STANDARD.encode(bytes))
}

fn manifest(config: Descriptor, artifact: &Artifact, previous: Option<Digest>) -> Manifest {
    let mut seen = BTreeSet::new();
    let blobs = artifact.layers.iter().filter_map(|layer| layer.blob.clone()).chain(artifact.inputs.clone());
    let created = [(CACHE_CREATED.to_owned(), Timestamp::now().to_string())];
    let previous = previous.map(|digest| (CACHE_PREVIOUS.to_owned(), digest.to_string()));
    Manifest {
        schema_version: 2,
        media_type: media_type::OCI_MANIFEST.to_owned(),
        config,
        layers: blobs.filter(|blob| seen.insert(blob.digest)).collect(),
        annotations: created.into_iter().chain(previous).collect(),
    }
}

struct Export<'a> {
    store: &'a Store,
    carry: &'a Carry<'a>,
    target: &'a CacheTarget,
}

impl Export<'_> {
    /// Writes the layers, several at a time. Those that cannot be had are left out.
    fn layers(&self, ids: &[LayerId]) -> Result<Vec<CarriedLayer>, String> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new((BTreeMap::new(), None));
        let work = || {
            while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = self.layer(*id);
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                match result {
                    Ok(layer) => done.0.extend(layer.map(|layer| (*id, layer))),
                    Err(cause) => {
                        next.store(ids.len(), Ordering::Relaxed);
                        done.1.get_or_insert(cause);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..AT_ONCE.min(ids.len()) {
                scope.spawn(work);
            }
            work();
        });
        let (layers, failure) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(cause) => Err(cause),
            None => Ok(layers.into_values().collect()),
        }
    }

    fn layer(&self, id: LayerId) -> Result<Option<CarriedLayer>, String> {
        if let Some(carried) = self.there_already(id)? {
            return Ok(Some(carried));
        }
        match self.store.layer(id).map_err(|cause| cause.to_string())? {
            Some(layer) => self.own(&layer),
            None => self.pass_on(id),
        }
    }

    /// A layer from elsewhere whose blob the target has.
    fn there_already(&self, id: LayerId) -> Result<Option<CarriedLayer>, String> {
        for held in self.carry.holders(id) {
            if let Some(blob) = &held.layer.blob
                && !self.is_broken(blob.digest)
                && self.target.place.has(blob).map_err(|cause| cause.to_string())?
            {
                return Ok(Some(held.layer.clone()));
            }
        }
        Ok(None)
    }

    /// A layer of the store.
    fn own(&self, layer: &Layer) -> Result<Option<CarriedLayer>, String> {
        // A step's result that is one of an image's layers comes with that image.
        let Origin::Built(times) = *layer.origin() else { return Ok(None) };
        let compression = self.target.compression;
        let diff_id = layer.diff_id().map_err(|cause| cause.to_string())?;
        let packed = pack(self.store, layer, diff_id, compression).map_err(|cause| cause.to_string())?;
        let blob = packed.descriptor();
        self.write(&blob, &packed.file)?;
        let packed = Some(compression.name());
        Ok(Some(CarriedLayer { layer: layer.id(), diff_id, times, blob: Some(blob), packed }))
    }

    /// A layer that was never needed here, from place to place.
    fn pass_on(&self, id: LayerId) -> Result<Option<CarriedLayer>, String> {
        for held in self.carry.holders(id) {
            let Some(blob) = &held.layer.blob else { continue };
            let temp = self.store.temp().map_err(|cause| cause.to_string())?;
            let file = temp.path().join("blob");
            match place::fetch(&*held.place, blob, &file) {
                Ok(()) => {
                    self.write(blob, &file)?;
                    return Ok(Some(held.layer.clone()));
                }
                Err(cause) => self.carry.trouble(&format!("a layer of the cache is not passed on: {cause}")),
            }
        }
        Ok(None)
    }

    /// The files behind the keys, as one blob; None if there are none.
    fn inputs(&self, steps: &[CarriedStep]) -> Result<Option<Descriptor>, String> {
        let mut all: BTreeMap<RecordKey, Vec<u8>> = BTreeMap::new();
        for key in steps.iter().map(|step| step.record.key.digest()) {
            let own = self.store.inputs(key).map_err(|cause| cause.to_string())?;
            all.extend(own.or_else(|| self.carry.inputs(key).cloned()).map(|bytes| (key, bytes)));
        }
        if all.is_empty() { Ok(None) } else { self.bytes(INPUTS, &encode_inputs(&all)).map(Some) }
    }

    fn bytes(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, String> {
        let temp = self.store.temp().map_err(|cause| cause.to_string())?;
        let file = temp.path().join("blob");
        std::fs::write(&file, bytes).map_err(|cause| cause.to_string())?;
        let blob = Descriptor::new(media_type, BlobDigest(Digest::of(bytes)), bytes.len() as u64);
        self.write(&blob, &file)?;
        Ok(blob)
    }

    fn write(&self, blob: &Descriptor, file: &Path) -> Result<(), String> {
        let place = &self.target.place;
        let is_there = || place.has(blob).map_err(|cause| cause.to_string());
        if !self.is_broken(blob.digest) && is_there()? {
            return Ok(());
        }
        place.write(blob, file).map_err(|cause| cause.to_string())
    }

    fn is_broken(&self, blob: BlobDigest) -> bool {
        self.carry.broken.lock().unwrap_or_else(PoisonError::into_inner).contains(&blob)
    }
}
