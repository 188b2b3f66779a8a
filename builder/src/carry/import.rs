//! Reading the artifacts of other builds. What cannot be read is said, and left out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rbuild_image::manifest::Manifest;
use rbuild_image::place::{CACHE_CONFIG, CACHE_CREATED, Place, PlaceError, read_small};
use rbuild_image::time::Timestamp;

use super::format::{Artifact, VERSION};
use super::remembered::Reopened;
use super::{Carried, Carry, Held, PendingBase, Source, inline};
use crate::event::{CacheEvent, Event, Observer};
use crate::key::FORMAT;
use crate::request::Request;

/// Larger than the config of any build that somebody could wait for.
const MAX_CONFIG: u64 = 256 << 20;

impl<'a> Carry<'a> {
    /// Reads what the request says to import. `bases` are the images that were not pulled yet.
    pub(crate) fn import(request: &Request, bases: Vec<PendingBase>, observer: &'a dyn Observer) -> Self {
        let mut carry = Self {
            observer,
            sources: Vec::new(),
            bases,
            records: BTreeMap::new(),
            layers: BTreeMap::new(),
            recalled: Mutex::default(),
            reopened: Reopened::new(request.reopen.clone()),
            copies: BTreeMap::new(),
            copied: Mutex::default(),
            lost: Mutex::default(),
            broken: Mutex::default(),
            fetching: Mutex::default(),
            is_wanted: !request.cache_from.is_empty() || !request.cache_to.is_empty() || request.inline_cache,
        };
        for place in &request.cache_from {
            let name = place.name();
            let begun = Instant::now();
            observer.on(Event::Cache(CacheEvent::Importing { from: &name }));
            match read(&**place) {
                Ok(Some((artifact, created))) => {
                    let (steps, layers) = (artifact.steps.len(), artifact.layers.len());
                    carry.add(Arc::clone(place), artifact, created);
                    let duration = begun.elapsed();
                    let imported = CacheEvent::Imported { from: &name, steps, layers, duration };
                    observer.on(Event::Cache(imported));
                }
                Ok(None) => carry.trouble(&format!("there is no cache in {name}")),
                Err(cause) => carry.trouble(&format!("failed to import the cache from {name}: {cause}")),
            }
        }
        carry
    }

    fn add(&mut self, place: Arc<dyn Place>, artifact: Artifact, created: Timestamp) {
        let source = self.sources.len();
        for step in artifact.steps.iter().filter(|step| step.record.key.format == FORMAT) {
            let log = step.log.as_ref().and_then(|text| BASE64_STANDARD.decode(text).ok());
            let mut record = step.record.clone();
            record.log = log.is_some();
            self.records.entry(record.key.digest()).or_insert(Carried { record, log, source });
        }
        for layer in &artifact.layers {
            let held = Held { place: Arc::clone(&place), layer: layer.clone(), reopened: None };
            self.layers.entry(layer.layer).or_default().push(Arc::new(held));
        }
        for (name, content) in &artifact.copies {
            self.copies.entry(name.clone()).or_insert_with(|| content.clone());
        }
        self.sources.push(Source { place, artifact, created, inputs: OnceLock::new() });
    }
}

/// The artifact of a place, and when it was made; None if there is none.
fn read(place: &dyn Place) -> Result<Option<(Artifact, Timestamp)>, PlaceError> {
    let Some(head) = place.head()? else { return Ok(None) };
    let manifest: Manifest = serde_json::from_slice(&head)
        .map_err(|error| PlaceError::document(format!("manifest of {}", place.name()), error))?;
    let what = || format!("config of {}", place.name());
    let bytes = read_small(place, &manifest.config, MAX_CONFIG)?;
    let artifact: Artifact = if manifest.config.media_type == CACHE_CONFIG {
        serde_json::from_slice(&bytes).map_err(|error| PlaceError::document(what(), error))?
    } else {
        let found = inline::from_config(&manifest, &bytes);
        found.map_err(|reason| PlaceError::document(what(), reason))?.ok_or_else(|| {
            PlaceError::document(
                what(),
                "it is neither a cache of rbuild, nor an image with one (type=inline)",
            )
        })?
    };
    if artifact.version != VERSION {
        let reason =
            format!("it is of version {}, and {VERSION} is what this rbuild reads", artifact.version);
        return Err(PlaceError::document(what(), reason));
    }
    let created = manifest.annotations.get(CACHE_CREATED).and_then(|text| text.parse().ok());
    Ok(Some((artifact, created.unwrap_or_else(|| Timestamp::new(0, 0)))))
}
