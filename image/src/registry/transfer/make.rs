//! Manifests of our own, for images that did not come with one, and indexes of manifests.

use std::collections::BTreeMap;

use super::super::error::RegistryError;
use super::pack::{self, Compression, Encoding, Packed};
use crate::digest::{BlobDigest, DiffId};
use crate::json::to_vec_go_pretty;
use crate::manifest::{Descriptor, Index, Manifest, RawManifest, media_type};
use crate::store::{Image, Store, StoreError};

/// The manifest under which an image of the store is pushed: the one that it came with, or one that is made now, of
/// layers that are compressed now if they must be. It is kept, and so are they.
///
/// # Errors
/// When a layer is not in the store, or is not what it should be.
pub fn manifest_for(
    store: &Store,
    image: &Image,
    came_as: Option<RawManifest>,
    compression: Compression,
) -> Result<RawManifest, RegistryError> {
    if let Some(raw) = came_as {
        return Ok(raw);
    }
    let mut blobs: BTreeMap<DiffId, Packed> = BTreeMap::new();
    for (id, diff_id) in image.layers.iter().zip(&image.config.rootfs.diff_ids) {
        let layer = store.layer(*id)?.ok_or(StoreError::NoLayer(*id))?;
        blobs.insert(*diff_id, pack::pack(store, &layer, *diff_id, compression)?);
    }
    let raw = manifest(image, &blobs);
    store.keep_manifest(&raw)?;
    Ok(raw)
}

/// The manifest of an image whose layers are these blobs.
pub(super) fn manifest(image: &Image, blobs: &BTreeMap<DiffId, Packed>) -> RawManifest {
    let layers: Vec<&Packed> =
        image.config.rootfs.diff_ids.iter().filter_map(|diff_id| blobs.get(diff_id)).collect();
    let manifest = of_blobs(config(image), &layers);
    RawManifest::new(&manifest.media_type, to_vec_go_pretty(&manifest))
}

/// What leads to an image's config.
pub(super) fn config(image: &Image) -> Descriptor {
    Descriptor::new(media_type::OCI_CONFIG, BlobDigest(image.id.0), image.bytes.len() as u64)
}

/// The index of manifests: of docker's type if all of them are.
pub(super) fn index(manifests: Vec<Descriptor>) -> RawManifest {
    let is_docker = manifests.iter().all(|one| one.media_type == media_type::DOCKER_MANIFEST);
    let media_type = if is_docker { media_type::DOCKER_LIST } else { media_type::OCI_INDEX };
    let index = Index {
        schema_version: 2,
        media_type: media_type.to_owned(),
        manifests,
        annotations: BTreeMap::new(),
    };
    RawManifest::new(media_type, to_vec_go_pretty(&index))
}

/// The manifest of the blobs. OCI's types, except where the image holds layers that came with docker's: it is built
/// on an image of docker's format, and whoever pulls that today can pull this. Zstd exists in OCI's types only.
fn of_blobs(config: Descriptor, layers: &[&Packed]) -> Manifest {
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
