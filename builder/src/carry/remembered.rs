//! Caches that earlier builds imported: what they found there, and did not need, is known to later builds too.
//!
//! A hit from elsewhere leaves a record in the store, and no layer. Beside it goes a note that says where the layer
//! is, and one of what a copy between such layers selects. A later build that finds the record hits as well, whether
//! it was told of the cache or not. If it needs the files, the place is opened again, with the credentials that are
//! there then; if that fails the layer is lost, and the step runs.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use rbuild_image::digest::LayerId;
use rbuild_image::place::Address;
use rbuild_image::store::Store;
use serde::{Deserialize, Serialize};

use super::format::CarriedLayer;
use super::{Carried, Carry, Held, VERSION};
use crate::request::Reopen;

/// Where a layer is.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Of [`CarriedLayer`].
    version: u32,
    /// Of the cache that knew the step.
    place: Address,
    /// None where the cache did not have it (`mode=min`): then it is known by its identity only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<CarriedLayer>,
}

impl Note {
    /// None if there is none, or none that this version can read.
    fn read(store: &Store, layer: LayerId) -> Option<Self> {
        let bytes = store.remote(layer).ok().flatten()?;
        let note: Self = serde_json::from_slice(&bytes).ok()?;
        let is_about_it = note.layer.as_ref().is_none_or(|held| held.layer == layer);
        (note.version == VERSION && is_about_it).then_some(note)
    }
}

/// The cache that has a layer which the store lacks, as people say it; None if none is known.
pub(crate) fn whereabouts(store: &Store, layer: LayerId) -> Option<String> {
    let note = if store.lacks_layer(layer) { Note::read(store, layer) } else { None };
    note.map(|note| note.place.to_string())
}

impl Carry<'_> {
    /// Notes where the layer of a record from elsewhere is, if the store lacks it. That this fails is no reason for a
    /// build to fail: a later one only knows less.
    pub(crate) fn remember(&self, store: &Store, carried: &Carried) {
        let id = carried.record.layer;
        if matches!(store.layer(id), Ok(Some(_))) {
            return;
        }
        let held = self.layers.get(&id).and_then(|held| held.first());
        let place = held.map_or(&self.sources[carried.source].place, |held| &held.place).address();
        let note = Note { version: VERSION, place, layer: held.map(|held| held.layer.clone()) };
        let bytes = serde_json::to_vec(&note).expect("strings and numbers");
        let _ = store.put_remote(id, &bytes);
    }

    /// Whether a layer that the store lacks is known to be elsewhere, as far as that can be told without asking there.
    pub(crate) fn recalls(&self, store: &Store, id: LayerId) -> bool {
        if self.is_lost(id) {
            return false;
        }
        let mut recalled = self.recalled.lock().unwrap_or_else(PoisonError::into_inner);
        if recalled.contains_key(&id) || self.layers.contains_key(&id) {
            return true;
        }
        let Some(note) = Note::read(store, id) else { return false };
        let held = note.layer.and_then(|layer| self.reopened.held(note.place, layer));
        recalled.insert(id, held.map(Arc::new));
        true
    }

    /// Who may have a layer, the first to be asked first.
    pub(super) fn holders(&self, id: LayerId) -> Vec<Arc<Held>> {
        let mut holders = self.layers.get(&id).cloned().unwrap_or_default();
        let recalled = self.recalled.lock().unwrap_or_else(PoisonError::into_inner);
        holders.extend(recalled.get(&id).cloned().flatten());
        holders
    }

    /// Whether some result of this build was found by a note only.
    pub(super) fn recalls_any(&self) -> bool {
        !self.recalled.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Places of earlier builds, each opened once.
pub(super) struct Reopened {
    open: Reopen,
    /// Those that could not be reached: asking once more for every layer would only take time.
    silent: std::sync::Mutex<BTreeSet<Address>>,
}

impl Reopened {
    pub(super) fn new(open: Reopen) -> Self {
        Self { open, silent: std::sync::Mutex::default() }
    }

    /// None if the place cannot even be named any more.
    fn held(&self, address: Address, layer: CarriedLayer) -> Option<Held> {
        let place = self.open.place(&address)?;
        Some(Held { place, layer, reopened: Some(address) })
    }

    pub(super) fn is_silent(&self, held: &Held) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        held.reopened.as_ref().is_some_and(|address| silent.contains(address))
    }

    pub(super) fn fell_silent(&self, held: &Held) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).extend(held.reopened.clone());
    }
}
