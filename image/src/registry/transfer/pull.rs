//! From a name to an image of the store.

use std::collections::BTreeMap;

use super::super::auth::Scope;
use super::super::client::{Registry, Repository};
use super::super::documents::Document;
use super::super::endpoint;
use super::super::error::RegistryError;
use super::super::platforms;
use super::super::progress::{Event, LayerState, Progress};
use super::super::retry::Retry;
use super::fetch::{Fetched, fetch};
use super::{sources, workers};
use crate::config::ImageConfig;
use crate::digest::{DiffId, ImageId, LayerId, ManifestDigest};
use crate::manifest::{Descriptor, Kind, Manifest, RawManifest};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Image, Store, foreign_id};

/// How deep indexes may lie in indexes.
const MAX_NESTING: usize = 3;
/// More layers than any container engine mounts.
const MAX_LAYERS: usize = 1024;

/// What is to be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions {
    /// For which platform.
    pub platform: Platform,
    /// Whether an image without an index, and for another platform, is refused: when the user has named the platform.
    pub exact_platform: bool,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self { platform: Platform::host(), exact_platform: false }
    }
}

/// What was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image, now in the store.
    pub image: ImageId,
    /// What the name led to: a manifest or an index.
    pub digest: ManifestDigest,
    /// Whether the store did not have the image under this name.
    pub is_new: bool,
    /// The platform that the image says it is for.
    pub platform: Platform,
}

/// What a name leads to in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Of a manifest or an index.
    pub digest: ManifestDigest,
    /// The image for the platform that was asked for.
    pub image: ImageId,
}

/// What becomes of what a name meant before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// It is forgotten.
    Replace,
    /// An image for another platform stays beside the new one.
    Beside,
}

impl Registry {
    /// Fetches what `reference` (tag or digest; `latest` without) names, and gives it that name in the store. Layers
    /// that are in the store are not fetched. Mirrors are asked first.
    ///
    /// # Errors
    /// When no registry has it, or what it has is not what it says. Then the name and the images of the store are as
    /// they were; layers that had arrived whole before a connection failed are kept for the next attempt.
    pub fn pull(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled, RegistryError> {
        self.pull_as(store, reference, options, Naming::Replace, progress)
    }

    /// As [`Registry::pull`], but what the name means for other platforms stays: a build for several platforms needs
    /// each of them, also the next time.
    ///
    /// # Errors
    /// As [`Registry::pull`].
    pub fn pull_beside(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled, RegistryError> {
        self.pull_as(store, reference, options, Naming::Beside, progress)
    }

    fn pull_as(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PullOptions,
        naming: Naming,
        progress: &dyn Progress,
    ) -> Result<Pulled, RegistryError> {
        let reference = reference.clone().with_default_tag();
        self.at_source(&reference, progress, |repository| {
            pull_from(store, repository, &reference, options, naming)
        })
    }

    /// What `reference` means at this moment, without fetching more than manifests. Mirrors are asked first.
    ///
    /// # Errors
    /// When no registry has it, or what it has is no image for the platform.
    pub fn look_up(
        &self,
        reference: &Reference,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Found, RegistryError> {
        let reference = reference.clone().with_default_tag();
        self.at_source(&reference, progress, |repository| {
            let document = repository.manifest(&asked(&reference), reference.digest())?;
            let digest = document.raw.digest;
            let (manifest, _) = select(repository, document, platform)?;
            Ok(Found { digest, image: ImageId(manifest.config.digest.0) })
        })
    }

    /// The image that `reference` means, without its layers; beside it the digest that the name leads to. The names of
    /// the layers are those that they have in the store once they are pulled.
    ///
    /// # Errors
    /// As [`Registry::pull`].
    pub fn describe(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<(Image, ManifestDigest), RegistryError> {
        let reference = reference.clone().with_default_tag();
        self.at_source(&reference, progress, |repository| {
            let document = repository.manifest(&asked(&reference), reference.digest())?;
            let digest = document.raw.digest;
            let (manifest, _) = select(repository, document, &options.platform)?;
            let (bytes, config) = image_config(repository, &manifest, &reference, options)?;
            let layers = config.rootfs.diff_ids.iter();
            let layers = layers.map(|id| Ok(store.by_diff_id(*id)?.unwrap_or_else(|| foreign_id(*id))));
            let layers = store.settle(&layers.collect::<Result<Vec<_>, RegistryError>>()?)?;
            Ok((Image { id: ImageId(manifest.config.digest.0), config, bytes, layers }, digest))
        })
    }

    /// Tries the mirrors of a reference's domain, then the registry itself.
    pub(in super::super) fn at_source<T>(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
        ask: impl Fn(&Repository<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        for mirror in endpoint::mirrors(self.settings(), reference.domain()) {
            let retry = Retry::new(self.settings(), progress);
            let host = mirror.host().to_owned();
            match ask(&self.repository(mirror, reference.path(), Scope::pull(reference.path()), &retry)) {
                Err(error) if error.is_local_to_mirror() => {
                    progress.event(Event::MirrorFailed { host: &host, reason: &error.to_string() });
                }
                result => return result,
            }
        }
        let retry = Retry::new(self.settings(), progress);
        let upstream = self.endpoint(reference.domain())?;
        ask(&self.repository(upstream, reference.path(), Scope::pull(reference.path()), &retry))
    }
}

/// What a registry calls it: a digest or a tag.
pub(in super::super) fn asked(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    }
}

fn pull_from(
    store: &Store,
    repository: &Repository<'_>,
    reference: &Reference,
    options: &PullOptions,
    naming: Naming,
) -> Result<Pulled, RegistryError> {
    let progress = repository.retry.progress;
    progress.event(Event::Resolving { image: &reference.familiar(), host: repository.endpoint.host() });
    let document = repository.manifest(&asked(reference), reference.digest())?;
    let digest = document.raw.digest;
    let (manifest, way) = select(repository, document, &options.platform)?;
    progress.event(Event::Manifest { digest, layers: manifest.layers.len() });
    let (bytes, config) = image_config(repository, &manifest, reference, options)?;
    let layers = store.settle(&fetch_layers(store, repository, &manifest, &config)?)?;
    for (id, descriptor) in layers.iter().zip(&manifest.layers) {
        sources::remember(store, *id, descriptor.digest, reference.domain(), reference.path())?;
    }
    let image = store.put_image(&bytes, &layers)?;
    store.make_durable(&layers)?;
    for document in &way {
        store.keep_manifest(document)?;
    }
    let before = store.meaning(reference)?.map_or(Ok(Vec::new()), |before| store.images_of(before))?;
    let is_new = !before.contains(&image);
    match (naming, store.image(image)?) {
        (Naming::Beside, Some(image)) => store.add_to_name(reference, &image, Some(digest))?,
        _ => store.set_name_as(reference, image, Some(digest))?,
    }
    store.remember_digest(image, reference, digest)?;
    Ok(Pulled { image, digest, is_new, platform: config.platform() })
}

/// The image's config, checked against its manifest, and the bytes that it is made of.
fn image_config(
    repository: &Repository<'_>,
    manifest: &Manifest,
    reference: &Reference,
    options: &PullOptions,
) -> Result<(Vec<u8>, ImageConfig), RegistryError> {
    let bytes = repository.small_blob(manifest.config.digest, manifest.config.size)?;
    let what = reference.familiar();
    let config =
        ImageConfig::parse(&bytes).map_err(|source| RegistryError::Config { what: what.clone(), source })?;
    check(&what, &config, manifest, options)?;
    Ok((bytes, config))
}

/// Follows indexes to the manifest for the platform. Returns the documents that lead there, too, and that itself.
fn select(
    repository: &Repository<'_>,
    document: Document,
    platform: &Platform,
) -> Result<(Manifest, Vec<RawManifest>), RegistryError> {
    let (mut document, mut way) = (document, Vec::new());
    for _ in 0..=MAX_NESTING {
        way.push(document.raw);
        let index = match document.kind {
            Kind::Manifest(manifest) => return Ok((manifest, way)),
            Kind::Index(index) => index,
        };
        let chosen = platforms::choose(&index, platform).ok_or_else(|| RegistryError::NoPlatform {
            what: repository.name(),
            wanted: Box::new(platform.clone()),
        })?;
        document = repository.manifest(&chosen.digest.to_string(), Some(chosen.digest.0))?;
    }
    Err(RegistryError::document(&repository.name(), "indexes lie in indexes, too deep"))
}

fn check(
    what: &str,
    config: &ImageConfig,
    manifest: &Manifest,
    options: &PullOptions,
) -> Result<(), RegistryError> {
    let (promised, there) = (config.rootfs.diff_ids.len(), manifest.layers.len());
    if promised != there || there > MAX_LAYERS {
        let reason = format!("the config has {promised} layers, and the manifest {there}");
        return Err(RegistryError::document(what, reason));
    }
    for layer in &manifest.layers {
        if !is_layer(&layer.media_type) {
            let reason = format!("layer {} has the unsupported type {:?}", layer.digest, layer.media_type);
            return Err(RegistryError::document(what, reason));
        }
    }
    let found = config.platform();
    if options.exact_platform && !options.platform.accepts(&found) {
        let wanted = Box::new(options.platform.clone());
        return Err(RegistryError::OtherPlatform { what: what.to_owned(), wanted, found: Box::new(found) });
    }
    Ok(())
}

/// Tars of any compression: how one is compressed is seen in its bytes. Encrypted ones and artifacts are none.
fn is_layer(media_type: &str) -> bool {
    let oci =
        ["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"];
    let docker = [
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    let is_one = |base: &&str| {
        matches!(media_type.strip_prefix(*base), Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd"))
    };
    oci.iter().chain(&docker).any(is_one)
}

/// The LayerIds of all layers, lowest first.
fn fetch_layers(
    store: &Store,
    repository: &Repository<'_>,
    manifest: &Manifest,
    config: &ImageConfig,
) -> Result<Vec<LayerId>, RegistryError> {
    let progress = repository.retry.progress;
    let mut have: BTreeMap<DiffId, LayerId> = BTreeMap::new();
    let mut missing: Vec<(DiffId, &Descriptor)> = Vec::new();
    for (diff_id, descriptor) in config.rootfs.diff_ids.iter().zip(&manifest.layers) {
        let Descriptor { digest, size, .. } = *descriptor;
        let state = match store.by_diff_id(*diff_id)? {
            Some(id) => {
                have.insert(*diff_id, id);
                LayerState::Exists
            }
            None => {
                if missing.iter().all(|(known, _)| known != diff_id) {
                    missing.push((*diff_id, descriptor));
                }
                LayerState::Waiting
            }
        };
        progress.event(Event::Layer { digest, size, state });
    }
    // The longest first: then nothing is left to do when the last one is done.
    missing.sort_by_key(|(_, descriptor)| std::cmp::Reverse(descriptor.size));
    let parallel = repository.settings().parallel;
    let (fetched, failure) = workers::run(&missing, parallel, repository.retry, |(diff_id, descriptor)| {
        fetch(store, repository, descriptor, *diff_id)
    });
    if let Some(error) = failure {
        if error.is_transient() {
            publish(store, fetched)?;
        }
        return Err(error);
    }
    have.extend(publish(store, fetched)?);
    let found = config.rootfs.diff_ids.iter().map(|diff_id| have.get(diff_id).copied());
    found.collect::<Option<_>>().ok_or(RegistryError::Cancelled)
}

fn publish(store: &Store, fetched: Vec<Fetched>) -> Result<Vec<(DiffId, LayerId)>, RegistryError> {
    fetched.into_iter().map(|layer| Ok((layer.diff_id, layer.publish(store)?))).collect()
}
