//! From a name to an image of the store: what is there, or what a registry has.

use super::client::Registry;
use super::error::RegistryError;
use super::progress::Progress;
use super::transfer::PullOptions;
use crate::reference::Reference;
use crate::store::{Image, Store};

/// Whether a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// When the image is not in the store.
    #[default]
    Missing,
    /// Always; layers that are in the store are not fetched all the same.
    Always,
    /// Never.
    Never,
}

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The image, in the store.
    pub image: Image,
    /// Whether a registry was asked.
    pub pulled: bool,
}

impl Registry {
    /// The image that `reference` means for `FROM`: the store's, or a registry's, as `policy` says. An image of the
    /// store for another platform does not count as there, unless no registry may be asked.
    ///
    /// # Errors
    /// When there is none, or the registry fails.
    pub fn resolve_or_pull(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PullOptions,
        policy: Policy,
        progress: &dyn Progress,
    ) -> Result<Resolved, RegistryError> {
        if policy != Policy::Always
            && let Some(id) = store.named_for(reference, &options.platform)?
            && let Some(image) = store.image(id)?
            && (policy == Policy::Never || options.platform.accepts(&image.config.platform()))
        {
            return Ok(Resolved { image, pulled: false });
        }
        let missing = || RegistryError::NoImage(reference.clone().with_default_tag().familiar());
        if policy == Policy::Never {
            return Err(missing());
        }
        let pulled = self.pull_beside(store, reference, options, progress)?;
        let image = store.image(pulled.image)?.ok_or_else(missing)?;
        Ok(Resolved { image, pulled: true })
    }
}
