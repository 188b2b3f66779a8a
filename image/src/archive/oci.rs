//! OCI image layouts: `index.json` leads to manifests, which lead to configs and layers, all by digest.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::error::ArchiveError;
use super::load::{Incoming, IncomingLayer, check_blob, config_of};
use super::members::Members;
use crate::digest::Digest;
use crate::manifest::{Descriptor, Index, Kind, Manifest, RawManifest, annotation, media_type};
use crate::platform::Platform;
use crate::reference::Reference;

/// The member that every layout has.
pub(super) const INDEX: &str = "index.json";
const MAX_DEPTH: usize = 4;

/// What a layout has.
#[derive(Default)]
pub(super) struct Found {
    /// Each once.
    pub(super) images: Vec<Incoming>,
    /// Names that mean several of them, by their places in `images`.
    pub(super) indexes: Vec<(Vec<Reference>, Vec<usize>)>,
    /// The indexes that names lead to.
    pub(super) documents: BTreeMap<Reference, RawManifest>,
}

/// The images of the layout. Of several for one name all are taken whose blobs are there, unless `wanted` says for
/// which platform; of several without a name the one for this machine. `only` is a tag or a digest.
pub(super) fn images(
    members: &Members,
    wanted: Option<&Platform>,
    only: Option<&str>,
) -> Result<Found, ArchiveError> {
    let mut index: Index = parse(INDEX, &members.document(INDEX)?)?;
    if let Some(only) = only {
        index.manifests.retain(|descriptor| is_called(descriptor, only));
        if index.manifests.is_empty() {
            return Err(ArchiveError::NotThere { wanted: only.to_owned() });
        }
    }
    let mut groups: BTreeMap<Vec<Reference>, Vec<Descriptor>> = BTreeMap::new();
    for descriptor in index.manifests {
        groups.entry(names(&descriptor)?).or_default().push(descriptor);
    }
    let mut manifests: Vec<(Descriptor, Vec<Reference>)> = Vec::new();
    let (mut indexes, mut documents) = (Vec::new(), BTreeMap::new());
    for (names, descriptors) in groups {
        if let [only] = &descriptors[..]
            && only.is_index()
        {
            let document = raw(members, only)?;
            documents.extend(names.iter().map(|name| (name.clone(), document.clone())));
        }
        let all = flatten(members, descriptors, MAX_DEPTH)?;
        let several = if wanted.is_none() && only.is_none() && !names.is_empty() {
            platforms_of(members, &all)?
        } else {
            Vec::new()
        };
        let mut put = |chosen: Descriptor, names: &[Reference]| {
            let at = manifests.iter().position(|(known, _)| known.digest == chosen.digest);
            let at = at.unwrap_or_else(|| {
                manifests.push((chosen, Vec::new()));
                manifests.len() - 1
            });
            manifests[at].1.extend(names.iter().cloned());
            at
        };
        if several.len() > 1 {
            indexes.push((names, several.into_iter().map(|one| put(one, &[])).collect()));
        } else {
            for one in choose(all, wanted)? {
                put(one, &names);
            }
        }
    }
    let images = manifests.into_iter().map(|(descriptor, names)| incoming(members, &descriptor, names));
    Ok(Found { images: images.collect::<Result<_, _>>()?, indexes, documents })
}

/// Whether a name of the layout leads to an index, of which docker's list of images would know one image only.
pub(super) fn has_nested(members: &Members) -> bool {
    let index = members.document(INDEX).ok().and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
    index.is_some_and(|index| index.manifests.iter().any(Descriptor::is_index))
}

/// Those of a name's images that are there with all their blobs, one for each platform.
fn platforms_of(members: &Members, all: &[Descriptor]) -> Result<Vec<Descriptor>, ArchiveError> {
    let mut found: Vec<Descriptor> = Vec::new();
    for one in all {
        let Some(platform) = &one.platform else { return Ok(Vec::new()) };
        let is_new =
            found.iter().all(|other| other.platform.as_ref().is_none_or(|other| !platform.accepts(other)));
        if is_new && is_whole(members, one)? {
            found.push(one.clone());
        }
    }
    Ok(found)
}

fn is_whole(members: &Members, descriptor: &Descriptor) -> Result<bool, ArchiveError> {
    if !members.contains(&blob_name(descriptor)) {
        return Ok(false);
    }
    let manifest: Manifest = parse(&blob_name(descriptor), &blob(members, descriptor)?)?;
    let mut blobs = manifest.layers.iter().chain([&manifest.config]);
    Ok(blobs.all(|blob| members.contains(&blob_name(blob))))
}

fn is_called(descriptor: &Descriptor, wanted: &str) -> bool {
    let names = [annotation::REF_NAME, annotation::IMAGE_NAME];
    let mut names = names.iter().filter_map(|key| descriptor.annotations.get(*key));
    descriptor.digest.to_string() == wanted
        || names.any(|name| name == wanted || name.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted))
}

/// The images among descriptors, those of nested indexes included.
fn flatten(
    members: &Members,
    descriptors: Vec<Descriptor>,
    depth: usize,
) -> Result<Vec<Descriptor>, ArchiveError> {
    let mut images: Vec<Descriptor> = Vec::new();
    for descriptor in descriptors {
        if descriptor.is_index() {
            let depth = depth.checked_sub(1).ok_or(ArchiveError::Nested)?;
            let nested: Index = parse(&blob_name(&descriptor), &blob(members, &descriptor)?)?;
            images.extend(flatten(members, nested.manifests, depth)?);
        } else if descriptor.is_image_manifest() {
            images.push(descriptor);
        }
    }
    Ok(images)
}

/// Of images that stand for one thing, those whose platform fits; a single image without choice is taken as it
/// is unless a platform was asked for.
fn choose(images: Vec<Descriptor>, wanted: Option<&Platform>) -> Result<Vec<Descriptor>, ArchiveError> {
    let target = wanted.cloned().unwrap_or_else(Platform::host);
    let fits = |image: &Descriptor| image.platform.as_ref().is_none_or(|platform| target.accepts(platform));
    if images.len() == 1 && wanted.is_none() {
        return Ok(images);
    }
    let fitting: Vec<Descriptor> = images.into_iter().filter(fits).collect();
    if fitting.is_empty() { Err(ArchiveError::NoPlatform { wanted: target }) } else { Ok(fitting) }
}

fn incoming(
    members: &Members,
    descriptor: &Descriptor,
    names: Vec<Reference>,
) -> Result<Incoming, ArchiveError> {
    let raw = raw(members, descriptor)?;
    let manifest: Manifest = parse(&blob_name(descriptor), &raw.bytes)?;
    let bytes = blob(members, &manifest.config)?;
    let config = config_of(&blob_name(&manifest.config), &bytes)?;
    let layers = manifest.layers.iter().map(layer).collect::<Result<_, _>>()?;
    Ok(Incoming { bytes, config, layers, names, manifest: Some(raw) })
}

/// Finds the manifests of images that docker's list describes: an archive of a docker that keeps images as registries
/// do has both. Manifests of layers that are not compressed are the archive's own, and of no use elsewhere.
pub(super) fn add_manifests(members: &Members, images: &mut [Incoming]) {
    let index = members.document(INDEX).ok().and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
    for descriptor in index.into_iter().flat_map(|index| index.manifests) {
        let Ok(raw) = raw(members, &descriptor) else { continue };
        let Some(Kind::Manifest(manifest)) = raw.read() else { continue };
        let is_plain = |layer: &Descriptor| {
            layer.media_type == media_type::OCI_LAYER || layer.media_type.ends_with(".tar")
        };
        let of_config = |image: &&mut Incoming| Digest::of(&image.bytes) == manifest.config.digest.0;
        if !manifest.layers.iter().all(is_plain)
            && let Some(image) = images.iter_mut().find(of_config)
        {
            image.manifest = Some(raw);
        }
    }
}

fn raw(members: &Members, descriptor: &Descriptor) -> Result<RawManifest, ArchiveError> {
    Ok(RawManifest::new(&descriptor.media_type, blob(members, descriptor)?))
}

fn layer(descriptor: &Descriptor) -> Result<IncomingLayer, ArchiveError> {
    let member = blob_name(descriptor);
    let kind = descriptor.media_type.as_str();
    // What a layer's bytes are is seen from the bytes; only what is no tar at all has to be told apart here.
    if !kind.contains(".layer.") && !kind.contains(".rootfs.") || kind.ends_with("+encrypted") {
        return Err(ArchiveError::MediaType { member, media_type: kind.to_owned() });
    }
    Ok(IncomingLayer { member, digest: Some(descriptor.digest), size: Some(descriptor.size) })
}

fn blob(members: &Members, descriptor: &Descriptor) -> Result<Vec<u8>, ArchiveError> {
    let name = blob_name(descriptor);
    let bytes = members.document(&name)?;
    check_blob(&name, descriptor.digest, descriptor.size, &bytes)?;
    Ok(bytes)
}

fn blob_name(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.hex())
}

fn parse<T: DeserializeOwned>(member: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(bytes).map_err(|source| ArchiveError::Json { member: member.to_owned(), source })
}

/// containerd writes the whole name; podman writes it where others write only the tag. A tag alone names nothing.
fn names(descriptor: &Descriptor) -> Result<Vec<Reference>, ArchiveError> {
    let whole = descriptor.annotations.get(annotation::IMAGE_NAME);
    let tag = descriptor.annotations.get(annotation::REF_NAME).filter(|text| text.contains(['/', ':']));
    let Some(name) = whole.or(tag) else { return Ok(Vec::new()) };
    match name.parse::<Reference>() {
        Ok(reference) => Ok(vec![reference.with_default_tag()]),
        Err(source) => Err(ArchiveError::Name { name: name.clone(), source }),
    }
}
