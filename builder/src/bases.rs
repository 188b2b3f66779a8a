//! Base images: found in the store.

use std::sync::Arc;

use rbuild_image::reference::Reference;
use rbuild_image::store::{Image, Store};
use rbuild_parser::plan::{Base, BaseId, BaseRequest, Bases};

use crate::assemble::plan_config;

/// Finds base images in the store, and remembers what the plan's numbers stand for.
#[derive(Debug)]
pub(crate) struct StoreBases<'a> {
    store: &'a Store,
    images: Vec<Arc<Image>>,
}

impl<'a> StoreBases<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, images: Vec::new() }
    }

    /// The images, by [`BaseId`].
    pub(crate) fn into_images(self) -> Vec<Arc<Image>> {
        self.images
    }

    fn find(&self, name: &str) -> Result<Image, String> {
        let reference = name
            .parse::<Reference>()
            .map_err(|cause| format!("failed to parse stage name {name:?}: {cause}"))?
            .with_default_tag();
        let canonical = reference.canonical();
        let unresolved = |cause: &dyn std::fmt::Display| {
            format!("{name}: failed to resolve source metadata for {canonical}: {cause}")
        };
        let named =
            self.store.named(&reference).and_then(|id| id.map_or(Ok(None), |id| self.store.image(id)));
        match named {
            Ok(Some(image)) => Ok(image),
            Ok(None) => Err(unresolved(&format_args!("{canonical}: not found"))),
            Err(cause) => Err(unresolved(&cause)),
        }
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
        let image = self.find(name)?;
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
