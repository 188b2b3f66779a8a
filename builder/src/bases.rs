//! Base images: found in the store, else pulled. No connection is opened for what the store has.

use std::sync::Arc;
use std::time::Instant;

use rbuild_image::platform::Platform;
use rbuild_image::reference::Reference;
use rbuild_image::registry::{self, Policy, Progress, PullOptions, Registry, RegistryError};
use rbuild_image::store::{Image, Store};
use rbuild_parser::plan::{Base, BaseId, BaseRequest, Bases};

use crate::assemble::plan_config;
use crate::event::{Event, Observer};

/// Finds base images, and remembers what the plan's numbers stand for.
pub(crate) struct StoreBases<'a> {
    store: &'a Store,
    source: Option<Source<'a>>,
    images: Vec<Arc<Image>>,
}

/// Where images come from that are not in the store.
pub(crate) struct Source<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) policy: Policy,
    pub(crate) observer: &'a dyn Observer,
}

impl<'a> StoreBases<'a> {
    /// From the store only.
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, source: None, images: Vec::new() }
    }

    /// From the store and from registries.
    pub(crate) fn pulling(store: &'a Store, source: Source<'a>) -> Self {
        Self { store, source: Some(source), images: Vec::new() }
    }

    /// The images, by [`BaseId`].
    pub(crate) fn into_images(self) -> Vec<Arc<Image>> {
        self.images
    }

    fn find(&self, name: &str, platform: &str) -> Result<Image, String> {
        let reference = name
            .parse::<Reference>()
            .map_err(|cause| format!("failed to parse stage name {name:?}: {cause}"))?
            .with_default_tag();
        let canonical = reference.canonical();
        let unresolved = |cause: &dyn std::fmt::Display| {
            format!("{name}: failed to resolve source metadata for {canonical}: {cause}")
        };
        let local =
            self.store.named(&reference).and_then(|id| id.map_or(Ok(None), |id| self.store.image(id)));
        let local = local.map_err(|cause| unresolved(&cause))?;
        let missing = || unresolved(&format_args!("{canonical}: not found"));
        let Some(source) = self.source.as_ref().filter(|source| source.policy != Policy::Never) else {
            return local.ok_or_else(missing);
        };
        let platform: Platform = platform.parse().map_err(|cause| unresolved(&cause))?;
        if source.policy == Policy::Missing
            && let Some(image) = local.filter(|image| platform.accepts(&image.config.platform()))
        {
            return Ok(image);
        }
        self.pull(source, &reference, platform).map_err(|error| match error {
            RegistryError::NotFound(_) | RegistryError::NoImage(_) => missing(),
            error => unresolved(&error),
        })
    }

    fn pull(
        &self,
        source: &Source<'_>,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Image, RegistryError> {
        let image = reference.canonical();
        let begun = Instant::now();
        source.observer.on(Event::Pulling { image: &image });
        let told = Told { image: &image, observer: source.observer };
        let options = PullOptions { platform, exact_platform: false };
        let found =
            source.registry.resolve_or_pull(self.store, reference, &options, Policy::Always, &told)?;
        source.observer.on(Event::Pulled { image: &image, duration: begun.elapsed() });
        Ok(found.image)
    }

    /// One number for one image, however often it is asked for.
    fn number(&mut self, image: Image) -> (BaseId, Arc<Image>) {
        let at = self.images.iter().position(|known| known.id == image.id).unwrap_or_else(|| {
            self.images.push(Arc::new(image));
            self.images.len() - 1
        });
        (BaseId(u32::try_from(at).expect("a Dockerfile has fewer stages")), Arc::clone(&self.images[at]))
    }
}

impl Bases for StoreBases<'_> {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        let name = request.name.strip_prefix("docker-image://").unwrap_or(request.name);
        let image = if crate::layouts::is_local(name) {
            crate::layouts::load(self.store, name, request.platform)?
        } else {
            self.find(name, request.platform)?
        };
        let (id, image) = self.number(image);
        let config = &image.config;
        Ok(Base {
            id,
            config: plan_config(&config.config),
            author: (!config.author.is_empty()).then(|| config.author.clone()),
            platform: config.platform().to_string(),
            empty: config.rootfs.diff_ids.is_empty() && config.history.iter().all(|entry| entry.empty_layer),
        })
    }
}

/// Hands what happens to a transfer on to whoever watches the build.
struct Told<'a> {
    image: &'a str,
    observer: &'a dyn Observer,
}

impl Progress for Told<'_> {
    fn event(&self, event: registry::Event<'_>) {
        self.observer.on(Event::Pull { image: self.image, event: &event });
    }
}
