//! Manifests and indexes as they are in a registry, for people who want to see them.

use super::client::{Registry, Repository};
use super::documents::{Document, Kind};
use super::error::RegistryError;
use super::progress::Progress;
use super::transfer::asked;
use crate::digest::ManifestDigest;
use crate::manifest::Manifest;
use crate::platform::Platform;
use crate::reference::Reference;

/// A manifest or an index, whose bytes are what its digest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// Of the bytes.
    pub digest: ManifestDigest,
    /// What it is.
    pub media_type: String,
    /// As they came.
    pub bytes: Vec<u8>,
}

/// The manifest of one image, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// As it came.
    pub raw: RawManifest,
    /// What the index says of it, else its config.
    pub platform: Option<Platform>,
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
        self.at_source(&reference, progress, |repository| Ok(raw(&document(repository, &reference)?)))
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
                image(repository, document, entry.platform.clone())
            });
            Ok((true, entries.collect::<Result<_, _>>()?))
        })
    }
}

fn document(repository: &Repository<'_>, reference: &Reference) -> Result<Document, RegistryError> {
    repository.manifest(&asked(reference), reference.digest())
}

fn raw(document: &Document) -> RawManifest {
    let Document { digest, media_type, bytes, .. } = document;
    RawManifest { digest: *digest, media_type: media_type.clone(), bytes: bytes.clone() }
}

fn image(
    repository: &Repository<'_>,
    document: Document,
    platform: Option<Platform>,
) -> Result<ImageManifest, RegistryError> {
    let raw = raw(&document);
    let Kind::Manifest(manifest) = document.kind else {
        return Err(RegistryError::document(&repository.name(), "an index calls another one a manifest"));
    };
    let platform = match platform {
        Some(platform) => Some(platform),
        None => {
            let config = repository.small_blob(manifest.config.digest, manifest.config.size)?;
            // An artifact has a config of its own kind.
            serde_json::from_slice(&config).ok()
        }
    };
    Ok(ImageManifest { raw, platform, manifest })
}
