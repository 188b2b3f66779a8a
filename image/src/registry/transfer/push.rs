//! From an image of the store, or an index, to a name in a registry.

use std::collections::{BTreeMap, BTreeSet};

use super::super::auth::Scope;
use super::super::client::{Registry, Repository};
use super::super::error::RegistryError;
use super::super::progress::{Event, LayerState, Progress};
use super::super::retry::Retry;
use super::pack::{self, Compression, Packed};
use super::send::{MAX_MOUNTS, Reached, deliver, deliver_config, reach};
use super::{make, sources, workers};
use crate::digest::{BlobDigest, DiffId, LayerId, ManifestDigest};
use crate::manifest::{Descriptor, Index, Kind, RawManifest};
use crate::reference::Reference;
use crate::store::{Image, KeptBlob, KeptManifest, Layer, Named, Store, StoreError};

/// How to push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushOptions {
    /// Of the layers that rbuild made; None for the usual one, and for the one that an image came with.
    pub compression: Option<Compression>,
}

/// What was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest.
    pub digest: ManifestDigest,
    /// Of the manifest, in bytes.
    pub size: u64,
    /// Bytes of layers and config that were sent.
    pub sent: u64,
}

impl PushOptions {
    fn compression(&self) -> Compression {
        self.compression.unwrap_or_default()
    }
}

/// An image that is to be pushed, and what is known about where its parts are.
struct Prepared {
    image: Image,
    /// As it came from elsewhere.
    kept: Option<KeptManifest>,
    /// Its layers, each once, for the case that it did not, or cannot go so.
    parts: Vec<Part>,
}

struct Part {
    layer: Layer,
    diff_id: DiffId,
}

impl Registry {
    /// Sends an image, or an index with all its images, to the registry of `reference`, under its tag (`latest`
    /// without). Only blobs that the repository lacks are sent, and those not that another repository of the registry
    /// is known to have. What came from elsewhere goes as it came, with the same manifest. The tag comes last: whoever
    /// pulls it finds everything that it leads to.
    ///
    /// # Errors
    /// When an image or a layer is not in the store, or the registry does not take it.
    pub fn push(
        &self,
        store: &Store,
        what: impl Into<Named>,
        reference: &Reference,
        options: &PushOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let (what, reference) = (what.into(), reference.clone().with_default_tag());
        let name = reference.familiar();
        let (Some(tag), None) = (reference.tag(), reference.digest()) else {
            return Err(RegistryError::document(&name, "cannot push a digest reference"));
        };
        let document = match store.meaning(&reference)? {
            Some(meaning) if meaning == what => store.document(&reference)?,
            _ => None,
        };
        let ids = store.images_of(what)?;
        if ids.is_empty() {
            return Err(RegistryError::NoImageId(what));
        }
        let mut images = Vec::with_capacity(ids.len());
        let mut scope = Scope::push(reference.path());
        for id in ids {
            let image = store.image(id)?.ok_or(RegistryError::NoImageId(id.into()))?;
            let prepared = prepare(store, image, document, options)?;
            for path in prepared.mounts(store, &reference, options)? {
                scope = scope.with(Scope::pull(&path));
            }
            images.push(prepared);
        }
        let retry = Retry::new(self.settings(), progress);
        let endpoint = self.endpoint(reference.domain())?;
        let repository = self.repository(endpoint, reference.path(), scope, &retry);
        progress.event(Event::Resolving { image: &name, host: repository.endpoint.host() });
        let push = Push {
            store,
            repository: &repository,
            reference: &reference,
            compression: options.compression(),
        };
        let document = document.map_or(Ok(None), |digest| store.kept_manifest(digest))?;
        let pushed = match what {
            Named::Image(_) => {
                let (manifest, sent) = push.image(&images[0])?;
                push.tell_reduced(document.as_ref(), &[manifest.digest]);
                push.put(tag, &manifest, sent)?
            }
            Named::Index(_) => push.index(tag, &images, document)?,
        };
        store.remember_digest(what, &reference, pushed.digest)?;
        if let Named::Index(_) = what {
            for prepared in &images {
                store.remember_digest(prepared.image.id, &reference, pushed.digest)?;
            }
        }
        Ok(pushed)
    }
}

/// A push under way.
pub(super) struct Push<'a> {
    pub(super) store: &'a Store,
    pub(super) repository: &'a Repository<'a>,
    pub(super) reference: &'a Reference,
    pub(super) compression: Compression,
}

impl Push<'_> {
    /// Sends what an image consists of. Returns its manifest, and how many bytes were sent.
    fn image(&self, prepared: &Prepared) -> Result<(RawManifest, u64), RegistryError> {
        let Prepared { image, kept, parts } = prepared;
        if let Some(kept) = kept
            && let Some(sent) = self.as_it_came(&image.bytes, kept)?
        {
            return Ok((kept.raw.clone(), sent));
        }
        let parallel = self.repository.settings().parallel;
        let (made, failure) =
            workers::run(parts, parallel, self.repository.retry, |part| self.made_part(part));
        if let Some(error) = failure {
            return Err(error);
        }
        let mut sent = made.iter().map(|(_, _, sent)| sent).sum();
        sent += deliver_config(self.repository, &make::config(image), &image.bytes)?;
        let blobs: BTreeMap<DiffId, Packed> =
            made.into_iter().map(|(diff_id, packed, _)| (diff_id, packed)).collect();
        let manifest = make::manifest(image, &blobs);
        self.tell_manifest(&manifest, image.layers.len());
        Ok((manifest, sent))
    }

    /// Sends the blobs that a manifest from elsewhere leads to. None if one is neither here nor there: then the image
    /// cannot go as it came.
    pub(super) fn as_it_came(
        &self,
        config: &[u8],
        kept: &KeptManifest,
    ) -> Result<Option<u64>, RegistryError> {
        let mut seen = BTreeSet::new();
        let (here, elsewhere): (Vec<&KeptBlob>, Vec<&KeptBlob>) = kept
            .blobs
            .iter()
            .filter(|blob| seen.insert(blob.descriptor.digest))
            .partition(|blob| blob.file.is_some());
        for blob in elsewhere {
            let Descriptor { digest, size, .. } = blob.descriptor;
            let mounts = self.mounts(blob.layer.id(), digest)?;
            if let Reached::Missing(_) = reach(self.repository, (digest, size), &mounts)? {
                return Ok(None);
            }
        }
        let parallel = self.repository.settings().parallel;
        let (sent, failure) = workers::run(&here, parallel, self.repository.retry, |blob| {
            let Some(file) = &blob.file else { return Ok(0) };
            let Descriptor { digest, size, .. } = blob.descriptor;
            let mounts = self.mounts(blob.layer.id(), digest)?;
            let sent = deliver(self.repository, (digest, size), &mounts, file)?;
            self.remember(blob.layer.id(), digest)?;
            Ok(sent)
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let config = deliver_config(self.repository, &kept.manifest.config, config)?;
        self.tell_manifest(&kept.raw, kept.blobs.len());
        Ok(Some(config + sent.into_iter().sum::<u64>()))
    }

    fn made_part(&self, part: &Part) -> Result<(DiffId, Packed, u64), RegistryError> {
        let Part { layer, diff_id } = part;
        if pack::packed(self.store, layer, self.compression)?.is_none() {
            let (digest, state) = (BlobDigest(diff_id.0), LayerState::Compressing);
            self.repository.retry.progress.event(Event::Layer { digest, size: 0, state });
        }
        let packed = pack::pack(self.store, layer, *diff_id, self.compression)?;
        let mounts = self.mounts(layer.id(), packed.digest)?;
        let sent = deliver(self.repository, (packed.digest, packed.size), &mounts, &packed.file)?;
        self.remember(layer.id(), packed.digest)?;
        Ok((*diff_id, packed, sent))
    }

    /// Sends all images by their digests, and then what leads to them: the index that they came with if everything that
    /// it leads to is there now, else one of them alone.
    fn index(
        &self,
        tag: &str,
        images: &[Prepared],
        document: Option<RawManifest>,
    ) -> Result<Pushed, RegistryError> {
        let (mut manifests, mut sent) = (Vec::with_capacity(images.len()), 0);
        for prepared in images {
            let (manifest, bytes) = self.image(prepared)?;
            self.put(&manifest.digest.to_string(), &manifest, bytes)?;
            manifests.push(Descriptor {
                platform: Some(prepared.image.config.platform()),
                ..manifest.descriptor()
            });
            sent += bytes;
        }
        let ours: Vec<ManifestDigest> = manifests.iter().map(|one| ManifestDigest(one.digest.0)).collect();
        if let Some(document) = document
            && let Some(Kind::Index(index)) = document.read()
        {
            if self.is_covered(&index, &ours)? {
                return self.put(tag, &document, sent);
            }
            self.tell_reduced(Some(&document), &ours);
            // What the index said of them holds on.
            for one in &mut manifests {
                if let Some(said) = index.manifests.iter().find(|said| said.digest == one.digest) {
                    *one = said.clone();
                }
            }
        }
        self.put(tag, &make::index(manifests), sent)
    }

    /// Whether an index leads to all of `ours`, and to nothing that the repository lacks.
    fn is_covered(&self, index: &Index, ours: &[ManifestDigest]) -> Result<bool, RegistryError> {
        let leads_to = |one: &ManifestDigest| index.manifests.iter().any(|entry| entry.digest.0 == one.0);
        if !ours.iter().all(leads_to) {
            return Ok(false);
        }
        for entry in &index.manifests {
            if !ours.iter().any(|one| one.0 == entry.digest.0)
                && !self.repository.has_manifest(entry.digest.0)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says which images of an index stay behind.
    fn tell_reduced(&self, document: Option<&RawManifest>, pushed: &[ManifestDigest]) {
        let Some(document) = document else { return };
        let Some(Kind::Index(index)) = document.read() else { return };
        let behind = index.manifests.iter().filter(|entry| entry.is_image_manifest());
        let behind = behind.filter(|entry| !pushed.iter().any(|one| one.0 == entry.digest.0));
        let left_out: Vec<String> = behind
            .map(|entry| {
                entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string)
            })
            .collect();
        if !left_out.is_empty() {
            let event = Event::Reduced { index: document.digest, left_out: &left_out };
            self.repository.retry.progress.event(event);
        }
    }

    fn tell_manifest(&self, manifest: &RawManifest, layers: usize) {
        self.repository.retry.progress.event(Event::Manifest { digest: manifest.digest, layers });
    }

    pub(super) fn put(
        &self,
        under: &str,
        manifest: &RawManifest,
        sent: u64,
    ) -> Result<Pushed, RegistryError> {
        self.repository.put_manifest(under, &manifest.media_type, &manifest.bytes)?;
        Ok(Pushed { digest: manifest.digest, size: manifest.bytes.len() as u64, sent })
    }

    fn mounts(&self, layer: LayerId, blob: BlobDigest) -> Result<Vec<String>, RegistryError> {
        mounts(self.store, layer, blob, self.reference)
    }

    fn remember(&self, layer: LayerId, blob: BlobDigest) -> Result<(), RegistryError> {
        Ok(sources::remember(self.store, layer, blob, self.reference.domain(), self.reference.path())?)
    }
}

fn prepare(
    store: &Store,
    image: Image,
    document: Option<ManifestDigest>,
    options: &PushOptions,
) -> Result<Prepared, RegistryError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut is_ours = false;
    for (id, diff_id) in image.layers.iter().zip(&image.config.rootfs.diff_ids) {
        if parts.iter().all(|part| part.diff_id != *diff_id) {
            let layer = store.layer(*id)?.ok_or(StoreError::NoLayer(*id))?;
            is_ours |= layer.foreign_blob().is_none();
            parts.push(Part { layer, diff_id: *diff_id });
        }
    }
    // Whoever asks for a compression wants it for the layers that were made here.
    let kept =
        if is_ours && options.compression.is_some() { None } else { store.as_it_came(&image, document)? };
    Ok(Prepared { image, kept, parts })
}

impl Prepared {
    /// The repositories from which blobs may be mounted.
    fn mounts(
        &self,
        store: &Store,
        reference: &Reference,
        options: &PushOptions,
    ) -> Result<BTreeSet<String>, RegistryError> {
        let mut paths = BTreeSet::new();
        for blob in self.kept.iter().flat_map(|kept| &kept.blobs) {
            paths.extend(mounts(store, blob.layer.id(), blob.descriptor.digest, reference)?);
        }
        for part in &self.parts {
            if let Some(packed) = pack::packed(store, &part.layer, options.compression())? {
                paths.extend(mounts(store, part.layer.id(), packed.digest, reference)?);
            }
        }
        Ok(paths)
    }
}

/// Other repositories of the registry that are known to have a blob.
fn mounts(
    store: &Store,
    layer: LayerId,
    blob: BlobDigest,
    reference: &Reference,
) -> Result<Vec<String>, RegistryError> {
    let mut mounts = sources::known(store, layer, blob, reference.domain())?;
    mounts.retain(|path| path != reference.path());
    mounts.truncate(MAX_MOUNTS);
    Ok(mounts)
}
