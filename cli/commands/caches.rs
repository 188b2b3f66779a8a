//! From the settings of caches that travel to places.

use std::sync::Arc;

use rbuild_builder::request::CacheTarget;
use rbuild_image::place::{Bucket, Folder, Place, Repository};
use rbuild_image::platform::Platform;
use rbuild_image::registry::Registry;

use crate::exit::Failure;
use crate::settings::{CachePlace, CacheTo};

/// Makes places of the settings of caches.
pub(crate) struct Caches<'a> {
    registry: &'a Registry,
    /// Of the image, where a name means several.
    platform: Platform,
}

impl<'a> Caches<'a> {
    pub(crate) fn new(registry: &'a Registry, platform: Option<&str>) -> Result<Self, Failure> {
        let platform = match platform {
            Some(text) => text.parse().map_err(|error| Failure::usage(format!("{text}: {error}")))?,
            None => Platform::host(),
        };
        Ok(Self { registry, platform })
    }

    pub(crate) fn place(&self, place: &CachePlace) -> Result<Arc<dyn Place>, Failure> {
        Ok(match place.clone() {
            CachePlace::Folder { path, tag, digest } => Arc::new(Folder::new(path, tag, digest)),
            CachePlace::Registry(reference) => {
                Arc::new(Repository::new(self.registry.clone(), reference, self.platform.clone()))
            }
            CachePlace::Bucket(settings) => {
                let bucket = Bucket::new(&settings, self.registry.settings());
                Arc::new(bucket.map_err(|error| Failure::usage(error.to_string()))?)
            }
        })
    }

    pub(crate) fn target(&self, to: &CacheTo) -> Result<CacheTarget, Failure> {
        Ok(CacheTarget {
            place: self.place(&to.place)?,
            mode: to.mode,
            compression: to.compression,
            ignore_errors: to.ignore_errors,
        })
    }
}
