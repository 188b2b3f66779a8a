//! From an image of the store, or an index, to a name in a registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use super::super::auth::Scope;
use super::super::client::{Registry, Repository, Upload};
use super::super::error::RegistryError;
use super::super::progress::{Event, LayerState, Progress};
use super::super::retry::Retry;
use super::pack::{self, Compression, Encoding, Packed};
use super::{sources, workers};
use crate::digest::{BlobDigest, DiffId, Digest, ManifestDigest};
use crate::json::to_vec_go_pretty;
use crate::manifest::{Descriptor, Index, Manifest, media_type};
use crate::reference::Reference;
use crate::store::{Image, Layer, Named, Store, StoreError};

/// So many repositories are tried before a blob is sent.
const MAX_MOUNTS: usize = 2;

/// How to push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushOptions {
    /// Of the layers that rbuild made.
    pub compression: Compression,
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

/// A layer of the image and what is known about where it is.
struct Part {
    layer: Layer,
    diff_id: DiffId,
    /// Repositories of the registry that have it.
    mounts: Vec<String>,
}

impl Registry {
    /// Sends an image, or an index with all its images, to the registry of `reference`, under its tag (`latest`
    /// without). Only blobs that the repository lacks are sent, and those not that another repository of the registry
    /// is known to have. The tag comes last: whoever pulls it finds everything that it leads to.
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
        let ids = store.images_of(what)?;
        if ids.is_empty() {
            return Err(RegistryError::NoImageId(what));
        }
        let mut images = Vec::with_capacity(ids.len());
        let mut scope = Scope::push(reference.path());
        for id in ids {
            let image = store.image(id)?.ok_or(RegistryError::NoImageId(id.into()))?;
            let parts = parts(store, &image, &reference, options)?;
            for path in parts.iter().flat_map(|part| &part.mounts) {
                scope = scope.with(Scope::pull(path));
            }
            images.push((image, parts));
        }
        let retry = Retry::new(self.settings(), progress);
        let endpoint = self.endpoint(reference.domain())?;
        let repository = self.repository(endpoint, reference.path(), scope, &retry);
        progress.event(Event::Resolving { image: &name, host: repository.endpoint.host() });
        let push = Push { store, repository: &repository, reference: &reference, options };
        let pushed = match what {
            Named::Image(_) => {
                let (image, parts) = &images[0];
                let (document, sent) = push.image(image, parts)?;
                push.put(tag, &document, sent)?
            }
            Named::Index(_) => push.index(tag, &images)?,
        };
        store.remember_digest(what, &reference, pushed.digest)?;
        if let Named::Index(_) = what {
            for (image, _) in &images {
                store.remember_digest(image.id, &reference, pushed.digest)?;
            }
        }
        Ok(pushed)
    }
}

/// A push under way.
struct Push<'a> {
    store: &'a Store,
    repository: &'a Repository<'a>,
    reference: &'a Reference,
    options: &'a PushOptions,
}

/// A manifest or an index to be sent.
struct Document {
    media_type: String,
    bytes: Vec<u8>,
}

impl Push<'_> {
    /// Sends what an image consists of. Returns its manifest, and how many bytes were sent.
    fn image(&self, image: &Image, parts: &[Part]) -> Result<(Document, u64), RegistryError> {
        let Self { store, repository, reference, options } = *self;
        let parallel = repository.settings().parallel;
        let (made, failure) = workers::run(parts, parallel, repository.retry, |part| {
            send_part(store, repository, part, reference, options)
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let config =
            Descriptor::new(media_type::OCI_CONFIG, BlobDigest(image.id.0), image.bytes.len() as u64);
        let mut sent = made.iter().map(|(_, _, sent)| sent).sum();
        if !repository.has_blob(config.digest)? {
            let bytes = &image.bytes;
            upload(repository, config.digest, config.size, None, || {
                Ok(Box::new(&bytes[..]) as Box<dyn Read>)
            })?;
            sent += config.size;
        }
        let blobs: BTreeMap<DiffId, Packed> =
            made.into_iter().map(|(diff_id, packed, _)| (diff_id, packed)).collect();
        let layers: Vec<&Packed> =
            image.config.rootfs.diff_ids.iter().filter_map(|diff_id| blobs.get(diff_id)).collect();
        let manifest = manifest(config, &layers);
        let bytes = to_vec_go_pretty(&manifest);
        let digest = ManifestDigest(Digest::of(&bytes));
        repository.retry.progress.event(Event::Manifest { digest, layers: layers.len() });
        Ok((Document { media_type: manifest.media_type, bytes }, sent))
    }

    /// Sends all images by their digests, and then what leads to them.
    fn index(&self, tag: &str, images: &[(Image, Vec<Part>)]) -> Result<Pushed, RegistryError> {
        let (mut manifests, mut all) = (Vec::with_capacity(images.len()), 0);
        for (image, parts) in images {
            let (document, sent) = self.image(image, parts)?;
            let digest = Digest::of(&document.bytes);
            self.put(&digest.to_string(), &document, sent)?;
            let size = document.bytes.len() as u64;
            let descriptor = Descriptor::new(&document.media_type, BlobDigest(digest), size);
            manifests.push(Descriptor { platform: Some(image.config.platform()), ..descriptor });
            all += sent;
        }
        let is_docker = manifests.iter().all(|one| one.media_type == media_type::DOCKER_MANIFEST);
        let media_type = if is_docker { media_type::DOCKER_LIST } else { media_type::OCI_INDEX }.to_owned();
        let index = Index {
            schema_version: 2,
            media_type: media_type.clone(),
            manifests,
            annotations: BTreeMap::new(),
        };
        self.put(tag, &Document { media_type, bytes: to_vec_go_pretty(&index) }, all)
    }

    fn put(&self, under: &str, document: &Document, sent: u64) -> Result<Pushed, RegistryError> {
        let Document { media_type, bytes } = document;
        self.repository.put_manifest(under, media_type, bytes)?;
        Ok(Pushed { digest: ManifestDigest(Digest::of(bytes)), size: bytes.len() as u64, sent })
    }
}

/// The image's layers, each once.
fn parts(
    store: &Store,
    image: &Image,
    reference: &Reference,
    options: &PushOptions,
) -> Result<Vec<Part>, RegistryError> {
    let mut parts: Vec<Part> = Vec::new();
    for (id, diff_id) in image.layers.iter().zip(&image.config.rootfs.diff_ids) {
        if parts.iter().any(|part| part.diff_id == *diff_id) {
            continue;
        }
        let layer = store.layer(*id)?.ok_or(StoreError::NoLayer(*id))?;
        let mut mounts = match pack::packed(store, &layer, options.compression)? {
            Some(packed) => sources::known(store, *id, packed.digest, reference.domain())?,
            None => Vec::new(),
        };
        mounts.retain(|path| path != reference.path());
        mounts.truncate(MAX_MOUNTS);
        parts.push(Part { layer, diff_id: *diff_id, mounts });
    }
    Ok(parts)
}

fn send_part(
    store: &Store,
    repository: &Repository<'_>,
    part: &Part,
    reference: &Reference,
    options: &PushOptions,
) -> Result<(DiffId, Packed, u64), RegistryError> {
    let progress = repository.retry.progress;
    let Part { layer, diff_id, mounts } = part;
    if pack::packed(store, layer, options.compression)?.is_none() {
        let digest = BlobDigest(diff_id.0);
        progress.event(Event::Layer { digest, size: 0, state: LayerState::Compressing });
    }
    let packed = pack::pack(store, layer, *diff_id, options.compression)?;
    let (digest, size) = (packed.digest, packed.size);
    let say = |state| progress.event(Event::Layer { digest, size, state });
    let sent = if repository.has_blob(digest)? {
        say(LayerState::Exists);
        0
    } else {
        let (is_mounted, session) = mount(repository, digest, mounts)?;
        if is_mounted {
            say(LayerState::Mounted);
            0
        } else {
            say(LayerState::Transferring);
            upload(repository, digest, size, session, || {
                let file = File::open(&packed.file).map_err(RegistryError::file("open", &packed.file))?;
                Ok(Box::new(file))
            })?;
            say(LayerState::Done);
            size
        }
    };
    sources::remember(store, layer.id(), digest, reference.domain(), reference.path())?;
    Ok((*diff_id, packed, sent))
}

/// Whether the blob could be had from another repository; if not, the upload that the registry began in its place.
fn mount(
    repository: &Repository<'_>,
    digest: BlobDigest,
    from: &[String],
) -> Result<(bool, Option<ureq::http::Uri>), RegistryError> {
    let mut session = None;
    for path in from {
        match repository.begin_upload(Some((digest, path))) {
            Ok(Upload::Mounted) => return Ok((true, None)),
            Ok(Upload::Session(uri)) => session = Some(uri),
            // Somebody else's repository, or one that is gone. Sending the blob will do.
            Err(RegistryError::Denied { .. } | RegistryError::NotFound(_) | RegistryError::Status { .. }) => {
            }
            Err(error) => return Err(error),
        }
    }
    Ok((false, session))
}

/// Sends a blob, from its start again when the line breaks. `open` gives its bytes.
pub(in super::super) fn upload<'a>(
    repository: &Repository<'_>,
    digest: BlobDigest,
    size: u64,
    session: Option<ureq::http::Uri>,
    open: impl Fn() -> Result<Box<dyn Read + 'a>, RegistryError>,
) -> Result<(), RegistryError> {
    let mut session = session;
    let mut tried = 0;
    loop {
        let begun = session.take();
        let result = open().and_then(|reader| upload_once(repository, digest, size, begun, reader));
        match result {
            Ok(()) => return Ok(()),
            Err(error) => repository.retry.again(&mut tried, error)?,
        }
        // The answer may have been lost, and not the blob.
        if repository.has_blob(digest)? {
            return Ok(());
        }
    }
}

fn upload_once(
    repository: &Repository<'_>,
    digest: BlobDigest,
    size: u64,
    session: Option<ureq::http::Uri>,
    reader: impl Read,
) -> Result<(), RegistryError> {
    let mut session = match session {
        Some(session) => session,
        None => match repository.begin_upload(None)? {
            Upload::Session(session) => session,
            Upload::Mounted => return Ok(()),
        },
    };
    let mut reader = Counted { inner: reader, repository, digest, size, done: 0 };
    let Some(chunk) = repository.settings().chunk.filter(|chunk| *chunk > 0 && *chunk < size) else {
        return repository.finish_upload(&session, digest, Some((&mut reader, size)));
    };
    let mut offset = 0;
    while offset < size {
        let length = chunk.min(size - offset);
        session = repository.send_chunk(&session, &mut reader.by_ref().take(length), offset, length)?;
        offset += length;
    }
    repository.finish_upload(&session, digest, None)
}

/// The manifest of the blobs. OCI's types, except where the image holds layers that came with docker's: it is built
/// on an image of docker's format, and whoever pulls that today can pull this. Zstd exists in OCI's types only.
fn manifest(config: Descriptor, layers: &[&Packed]) -> Manifest {
    let is_docker = layers.iter().any(|layer| layer.is_docker)
        && layers.iter().all(|layer| layer.encoding != Encoding::Zstd);
    let layer_type = |encoding| match (is_docker, encoding) {
        (true, Encoding::Plain) => "application/vnd.docker.image.rootfs.diff.tar",
        (true, _) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        (false, Encoding::Plain) => media_type::OCI_LAYER,
        (false, Encoding::Gzip) => media_type::OCI_LAYER_GZIP,
        (false, Encoding::Zstd) => media_type::OCI_LAYER_ZSTD,
    };
    let config_type =
        if is_docker { "application/vnd.docker.container.image.v1+json" } else { media_type::OCI_CONFIG };
    let manifest_type = if is_docker { media_type::DOCKER_MANIFEST } else { media_type::OCI_MANIFEST };
    Manifest {
        schema_version: 2,
        media_type: manifest_type.to_owned(),
        config: Descriptor { media_type: config_type.to_owned(), ..config },
        layers: layers
            .iter()
            .map(|layer| Descriptor::new(layer_type(layer.encoding), layer.digest, layer.size))
            .collect(),
        annotations: BTreeMap::new(),
    }
}

/// Tells how far an upload is, and ends it when another one has failed.
struct Counted<'a, R> {
    inner: R,
    repository: &'a Repository<'a>,
    digest: BlobDigest,
    size: u64,
    done: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let retry = self.repository.retry;
        retry.check().map_err(io::Error::other)?;
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        let (digest, done, total) = (self.digest, self.done, self.size);
        retry.progress.event(Event::Bytes { digest, done, total });
        Ok(count)
    }
}
