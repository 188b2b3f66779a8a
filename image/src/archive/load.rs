//! Reading images: everything is unpacked and verified aside, and only then put into the store.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use super::error::ArchiveError;
use super::ingest::{Ready, ingest};
use super::members::{Members, Source};
use super::oci::Found;
use super::{docker, oci};
use crate::config::ImageConfig;
use crate::digest::{BlobDigest, DiffId, Digest, LayerId};
use crate::manifest::RawManifest;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Named, Store, side_by_side};

/// An image that was loaded. Without names docker speaks of it as `Loaded image ID: <id>`, else as
/// `Loaded image: <name>` for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The image, or the index of those that its names have for several platforms.
    pub id: Named,
    /// The names that it now has from the archive.
    pub names: Vec<Reference>,
}

/// An image as an archive describes it; layers not looked at yet.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) bytes: Vec<u8>,
    pub(super) config: ImageConfig,
    pub(super) layers: Vec<IncomingLayer>,
    pub(super) names: Vec<Reference>,
    /// The manifest that describes it so.
    pub(super) manifest: Option<RawManifest>,
}

/// A member that is a layer, and what it is expected to be.
#[derive(Debug)]
pub(super) struct IncomingLayer {
    pub(super) member: String,
    pub(super) digest: Option<BlobDigest>,
    pub(super) size: Option<u64>,
}

/// Loads all images of an archive. Layers that the store has already are not read. Of a name with images for several
/// platforms the one for `wanted` is taken, else all that are there.
///
/// # Errors
/// When the archive is damaged, is not what its digests say, or cannot be stored. The store is then as before.
pub fn load<R: Read + Send>(
    store: &Store,
    source: Source<'_, R>,
    wanted: Option<&Platform>,
) -> Result<Vec<Loaded>, ArchiveError> {
    load_images(store, source, wanted, None)
}

/// Loads the images of an archive without giving them names: as bases of a build. `only`, a tag or a digest, takes
/// what the index of an OCI layout calls so.
///
/// # Errors
/// As [`load`].
pub fn load_nameless(
    store: &Store,
    path: &Path,
    wanted: Option<&Platform>,
    only: Option<&str>,
) -> Result<Vec<Loaded>, ArchiveError> {
    load_images(store, Source::<std::io::Empty>::Path(path), wanted, Some(only))
}

/// `nameless` says that names are left out, and which image is wanted.
fn load_images<R: Read + Send>(
    store: &Store,
    source: Source<'_, R>,
    wanted: Option<&Platform>,
    nameless: Option<Option<&str>>,
) -> Result<Vec<Loaded>, ArchiveError> {
    let spool = store.temp()?;
    let members = Members::open(source, &spool.path())?;
    let only = nameless.flatten();
    let is_docker = members.contains(docker::MANIFEST) && only.is_none() && !oci::has_nested(&members);
    let mut found = if is_docker {
        let mut images = docker::images(&members)?;
        oci::add_manifests(&members, &mut images);
        Found { images, ..Found::default() }
    } else if members.contains(oci::INDEX) {
        oci::images(&members, wanted, only)?
    } else {
        return Err(ArchiveError::Unrecognised);
    };
    if let Some(wanted) = wanted
        && !found.images.iter().any(|image| wanted.accepts(&image.config.platform()))
    {
        return Err(ArchiveError::NoPlatform { wanted: wanted.clone() });
    }
    if nameless.is_some() {
        found.documents.clear();
        found.images.iter_mut().for_each(|image| image.names.clear());
    }
    let mut layers = take_layers(store, &members, &found.images)?;
    publish(store, found, &mut layers)
}

/// Where each layer's content is: in the store, or unpacked aside.
enum Content {
    Stored(LayerId),
    Ready(Ready),
}

fn take_layers(
    store: &Store,
    members: &Members,
    images: &[Incoming],
) -> Result<HashMap<DiffId, Content>, ArchiveError> {
    let mut wanted: HashMap<DiffId, &IncomingLayer> = HashMap::new();
    for image in images {
        let diff_ids = &image.config.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            return Err(ArchiveError::LayerCount { expected: diff_ids.len(), found: image.layers.len() });
        }
        for (diff_id, layer) in diff_ids.iter().zip(&image.layers) {
            wanted.entry(*diff_id).or_insert(layer);
        }
    }
    let wanted: Vec<_> = wanted.into_iter().collect();
    let taken = side_by_side(&wanted, |(diff_id, layer)| match store.by_diff_id(*diff_id)? {
        Some(id) => Ok((*diff_id, Content::Stored(id))),
        None => take_layer(store, members, *diff_id, layer).map(|ready| (*diff_id, Content::Ready(ready))),
    });
    Ok(taken?.into_iter().collect())
}

fn take_layer(
    store: &Store,
    members: &Members,
    diff_id: DiffId,
    layer: &IncomingLayer,
) -> Result<Ready, ArchiveError> {
    let member = members.get(&layer.member)?;
    let ready = ingest(store, &layer.member, member.reader(), member.spooled.clone())?;
    if ready.blob.size < member.size {
        return Err(member.truncated(&layer.member, ready.blob.size));
    }
    if let Some(expected) = layer.digest {
        let expected_size = layer.size.unwrap_or(ready.blob.size);
        if expected != ready.blob.digest || expected_size != ready.blob.size {
            return Err(ArchiveError::CorruptBlob {
                member: layer.member.clone(),
                expected,
                expected_size,
                found: ready.blob.digest,
                found_size: ready.blob.size,
            });
        }
    }
    if ready.diff_id != diff_id {
        return Err(ArchiveError::CorruptLayer {
            member: layer.member.clone(),
            expected: diff_id,
            found: ready.diff_id,
        });
    }
    Ok(ready)
}

fn publish(
    store: &Store,
    found: Found,
    layers: &mut HashMap<DiffId, Content>,
) -> Result<Vec<Loaded>, ArchiveError> {
    let mut stored: HashMap<DiffId, LayerId> = HashMap::new();
    for (diff_id, found) in layers.drain() {
        let id = match found {
            Content::Stored(id) => id,
            Content::Ready(ready) => ready.publish(store)?,
        };
        stored.insert(diff_id, id);
    }
    let chains: Vec<Vec<LayerId>> = found
        .images
        .iter()
        .map(|image| {
            let layers = image.config.rootfs.diff_ids.iter().map(|id| stored[id]);
            store.settle(&layers.collect::<Vec<_>>())
        })
        .collect::<Result<_, _>>()?;
    store.make_durable(&chains.concat())?;
    let mut ids = Vec::with_capacity(found.images.len());
    let mut loaded: Vec<Loaded> = Vec::new();
    let document = |name: &Reference, manifest: Option<&RawManifest>| {
        found.documents.get(name).or(manifest).map(|document| document.digest)
    };
    for (at, image) in found.images.into_iter().enumerate() {
        let id = store.put_image(&image.bytes, &chains[at])?;
        let manifest = image.manifest.as_ref();
        manifest.map_or(Ok(()), |manifest| store.keep_manifest(manifest))?;
        for name in &image.names {
            found.documents.get(name).map_or(Ok(()), |document| store.keep_manifest(document))?;
            store.set_name_as(name, id, document(name, manifest))?;
        }
        ids.push((image.config.platform(), id));
        let is_part = found.indexes.iter().any(|(_, parts)| parts.contains(&at));
        if !is_part || !image.names.is_empty() {
            loaded.push(Loaded { id: id.into(), names: image.names });
        }
    }
    for (names, parts) in found.indexes {
        let id = store.put_index(parts.into_iter().map(|at| ids[at].clone()).collect())?;
        for name in &names {
            found.documents.get(name).map_or(Ok(()), |document| store.keep_manifest(document))?;
            store.set_name_as(name, id, document(name, None))?;
        }
        loaded.push(Loaded { id: id.into(), names });
    }
    Ok(loaded)
}

/// Whether a document is what the digest in its name says.
pub(super) fn check_blob(
    member: &str,
    expected: BlobDigest,
    expected_size: u64,
    bytes: &[u8],
) -> Result<(), ArchiveError> {
    let (found, found_size) = (BlobDigest(Digest::of(bytes)), bytes.len() as u64);
    if found == expected && found_size == expected_size {
        return Ok(());
    }
    Err(ArchiveError::CorruptBlob { member: member.to_owned(), expected, expected_size, found, found_size })
}

/// Reads an image config.
pub(super) fn config_of(member: &str, bytes: &[u8]) -> Result<ImageConfig, ArchiveError> {
    ImageConfig::parse(bytes).map_err(|source| ArchiveError::Config { member: member.to_owned(), source })
}
