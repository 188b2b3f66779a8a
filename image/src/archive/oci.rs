//! OCI image layouts: `index.json` leads to manifests, which lead to configs and layers, all by digest.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::error::ArchiveError;
use super::load::{Incoming, IncomingLayer, check_blob, config_of};
use super::members::Members;
use crate::manifest::{Descriptor, Index, Manifest, annotation};
use crate::platform::Platform;
use crate::reference::Reference;

/// The member that every layout has.
pub(super) const INDEX: &str = "index.json";
const MAX_DEPTH: usize = 4;

/// The images of the layout: of several for one name, the one for `wanted` (else for this machine). `only` is a tag or
/// a digest.
pub(super) fn images(
    members: &Members,
    wanted: Option<&Platform>,
    only: Option<&str>,
) -> Result<Vec<Incoming>, ArchiveError> {
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
    for (names, descriptors) in groups {
        for chosen in choose(members, descriptors, wanted, MAX_DEPTH)? {
            match manifests.iter_mut().find(|(known, _)| known.digest == chosen.digest) {
                Some((_, known)) => known.extend(names.iter().cloned()),
                None => manifests.push((chosen, names.clone())),
            }
        }
    }
    manifests.into_iter().map(|(descriptor, names)| incoming(members, &descriptor, names)).collect()
}

fn is_called(descriptor: &Descriptor, wanted: &str) -> bool {
    let names = [annotation::REF_NAME, annotation::IMAGE_NAME];
    let mut names = names.iter().filter_map(|key| descriptor.annotations.get(*key));
    descriptor.digest.to_string() == wanted
        || names.any(|name| name == wanted || name.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted))
}

/// Of descriptors that stand for one thing, those whose platform fits; a single image without choice is taken as it
/// is unless a platform was asked for.
fn choose(
    members: &Members,
    descriptors: Vec<Descriptor>,
    wanted: Option<&Platform>,
    depth: usize,
) -> Result<Vec<Descriptor>, ArchiveError> {
    let mut images: Vec<Descriptor> = Vec::new();
    for descriptor in descriptors {
        if descriptor.is_index() {
            let depth = depth.checked_sub(1).ok_or(ArchiveError::Nested)?;
            let nested: Index = parse(&blob_name(&descriptor), &blob(members, &descriptor)?)?;
            images.extend(choose(members, nested.manifests, wanted, depth)?);
        } else if descriptor.is_image_manifest() {
            images.push(descriptor);
        }
    }
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
    let manifest: Manifest = parse(&blob_name(descriptor), &blob(members, descriptor)?)?;
    let bytes = blob(members, &manifest.config)?;
    let config = config_of(&blob_name(&manifest.config), &bytes)?;
    let layers = manifest.layers.iter().map(layer).collect::<Result<_, _>>()?;
    Ok(Incoming { bytes, config, layers, names })
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
