//! From the settings of caches that travel to places.

use std::sync::Arc;
use std::time::Duration;

use rbuild_builder::request::{CacheTarget, Reopen};
use rbuild_image::place::{Address, Bucket, Folder, Place, Repository};
use rbuild_image::platform::Platform;
use rbuild_image::registry::{Registry, Settings};

use crate::exit::Failure;
use crate::settings::{CachePlace, CacheTo, Environment};

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

/// How often a place of an earlier build is asked, and how long it is waited for: nobody asked for it today, and
/// without it the build only takes longer.
const ATTEMPTS: u32 = 2;
const CONNECT: Duration = Duration::from_secs(5);

/// What opens the places of earlier builds again.
pub(crate) fn reopening(registry: &Settings, environment: &Environment) -> Reopen {
    let mut settings = Settings { attempts: ATTEMPTS, ..registry.clone() };
    settings.timeouts.connect = CONNECT;
    let environment = environment.clone();
    Reopen::by(move |address: &Address| {
        let place = CachePlace::again(address, &environment)?;
        let registry = Registry::new(settings.clone());
        Caches { registry: &registry, platform: Platform::host() }.place(&place).ok()
    })
}
