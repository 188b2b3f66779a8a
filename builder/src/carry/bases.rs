//! Base images of a build with a cache from elsewhere: pulled when something needs their files.
//!
//! A stage that only serves, and is found in the cache to its end, needs of its base no more than the config.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rbuild_image::digest::LayerId;
use rbuild_image::reference::Reference;
use rbuild_image::registry::{PullOptions, Registry, RegistryError};
use rbuild_image::store::{Image, Store};

use super::Carry;
use crate::bases::Told;
use crate::event::{Event, Observer};

/// An image that a registry has, and the store perhaps not.
#[derive(Debug)]
pub(crate) struct PendingBase {
    registry: Registry,
    name: Reference,
    /// The same, as it was when it was asked for.
    pinned: Reference,
    options: PullOptions,
    layers: BTreeSet<LayerId>,
    turn: Mutex<()>,
}

impl PendingBase {
    /// Asks what an image is, and leaves its layers where they are.
    pub(crate) fn describe(
        store: &Store,
        registry: &Registry,
        name: &Reference,
        options: PullOptions,
        observer: &dyn Observer,
    ) -> Result<(Self, Image), RegistryError> {
        let told = Told { image: &name.canonical(), observer };
        let (image, digest) = registry.describe(store, name, &options, &told)?;
        let layers = image.layers.iter().copied().collect();
        let pinned = name.clone().at(digest.0);
        let (registry, name, turn) = (registry.clone(), name.clone(), Mutex::default());
        Ok((Self { registry, name, pinned, options, layers, turn }, image))
    }

    fn lacks(&self, store: &Store, layers: &[LayerId]) -> bool {
        let is_missing = |id: &LayerId| !matches!(store.layer(*id), Ok(Some(_)));
        layers.iter().any(|id| self.layers.contains(id) && is_missing(id))
    }

    fn pull(&self, store: &Store, observer: &dyn Observer) -> Result<(), String> {
        let begun = Instant::now();
        let image = self.name.canonical();
        observer.on(Event::Pulling { image: &image });
        let told = Told { image: &image, observer };
        let pulled = self
            .registry
            .pull(store, &self.pinned, &self.options, &told)
            .map_err(|cause| format!("failed to pull {image}: {cause}"))?;
        let document = Some(pulled.digest);
        store.set_name_as(&self.name, pulled.image, document).map_err(|cause| cause.to_string())?;
        observer.on(Event::Pulled { image: &image, duration: begun.elapsed() });
        Ok(())
    }
}

impl Carry<'_> {
    /// Pulls those base images that have layers among `layers` which the store lacks.
    pub(crate) fn has_no_bases(&self) -> bool {
        self.bases.is_empty()
    }

    pub(crate) fn obtain_bases(&self, store: &Store, layers: &[LayerId]) -> Result<(), String> {
        for base in &self.bases {
            let _turn = base.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if base.lacks(store, layers) {
                base.pull(store, self.observer)?;
            }
        }
        Ok(())
    }
}
