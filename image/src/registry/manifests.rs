//! Manifests and indexes as they are in a registry, for people who want to see them.

use super::client::{Registry, Repository};
use super::documents::Document;
use super::error::RegistryError;
use super::progress::Progress;
use super::transfer::asked;
use crate::manifest::{Descriptor, Kind, Manifest, RawManifest};
use crate::reference::Reference;

/// The manifest of one image, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// As it came.
    pub raw: RawManifest,
    /// As the index has it; without one with the platform that the config says.
    pub descriptor: Descriptor,
    /// What it says.
    pub manifest: Manifest,
}

impl Registry {
    /// What `reference` (tag or digest; `latest` without) names.
    ///
    /// # Errors
    /// When the registry does not have it, or gives something else.
    pub fn manifest(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<RawManifest, RegistryError> {
        let reference = reference.clone().with_default_tag();
        self.at_source(&reference, progress, |repository| Ok(document(repository, &reference)?.raw))
    }

    /// The manifests of all images that `reference` leads to, in the order of the index; and whether there is one.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub fn image_manifests(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<(bool, Vec<ImageManifest>), RegistryError> {
        let reference = reference.clone().with_default_tag();
        self.at_source(&reference, progress, |repository| {
            let document = document(repository, &reference)?;
            let Kind::Index(index) = &document.kind else {
                return Ok((false, vec![image(repository, document, None)?]));
            };
            let entries = index.manifests.iter().filter(|entry| !entry.is_index()).map(|entry| {
                let document = repository.manifest(&entry.digest.to_string(), Some(entry.digest.0))?;
                image(repository, document, Some(entry.clone()))
            });
            Ok((true, entries.collect::<Result<_, _>>()?))
        })
    }
}

fn document(repository: &Repository<'_>, reference: &Reference) -> Result<Document, RegistryError> {
    repository.manifest(&asked(reference), reference.digest())
}

fn image(
    repository: &Repository<'_>,
    document: Document,
    descriptor: Option<Descriptor>,
) -> Result<ImageManifest, RegistryError> {
    let Document { raw, kind } = document;
    let Kind::Manifest(manifest) = kind else {
        return Err(RegistryError::document(&repository.name(), "an index calls another one a manifest"));
    };
    let descriptor = match descriptor {
        Some(descriptor) => descriptor,
        None => {
            let config = repository.small_blob(manifest.config.digest, manifest.config.size)?;
            // An artifact has a config of its own kind.
            Descriptor { platform: serde_json::from_slice(&config).ok(), ..raw.descriptor() }
        }
    };
    Ok(ImageManifest { raw, descriptor, manifest })
}
