//! The store, and images by what people call them.

use std::collections::BTreeMap;

use rbuild_image::digest::{ImageId, ManifestDigest};
use rbuild_image::platform::Platform;
use rbuild_image::reference::Reference;
use rbuild_image::store::{Image, Named, ResolveError, Store};

use crate::exit::Failure;

/// Characters of an ID where it is shortened.
const SHORT: usize = 12;

/// The image of that name, ID or prefix of an ID.
pub(crate) fn image(store: &Store, text: &str) -> Result<Image, Failure> {
    store.resolve(text).map_err(|error| missing(text, error))
}

/// The image or the index of that name, ID or prefix of an ID.
pub(crate) fn meaning(store: &Store, text: &str) -> Result<Named, Failure> {
    store.resolve_named(text).map_err(|error| missing(text, error))
}

/// As what it came from elsewhere, if `text` is a name of it that says so.
pub(crate) fn document(store: &Store, text: &str, what: Named) -> Result<Option<ManifestDigest>, Failure> {
    let Ok(name) = text.parse::<Reference>() else { return Ok(None) };
    Ok(if store.meaning(&name)? == Some(what) { store.document(&name)? } else { None })
}

/// The image of that name or ID for one platform.
pub(crate) fn image_for(store: &Store, text: &str, platform: &Platform) -> Result<Image, Failure> {
    let found = meaning(store, text)?;
    for id in store.images_of(found)? {
        if let Some(image) = store.image(id)?.filter(|image| platform.accepts(&image.config.platform())) {
            return Ok(image);
        }
    }
    Err(Failure::new(format!("No such image: {text} for platform {platform}")))
}

/// A platform as typed.
pub(crate) fn platform(text: &str) -> Result<Platform, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("invalid platform {text:?}: {error}")))
}

fn missing(text: &str, error: ResolveError) -> Failure {
    match error {
        ResolveError::NotFound(_) => Failure::new(format!("No such image: {text}")),
        other => other.into(),
    }
}

/// Every image of the store.
pub(crate) fn all(store: &Store) -> Result<Vec<Image>, Failure> {
    let mut images = Vec::new();
    for id in store.image_ids()? {
        // One that another process removed in between is not there.
        images.extend(store.image(id)?);
    }
    Ok(images)
}

/// All names, by image. One of several platforms is with this machine's.
pub(crate) fn names_by_image(store: &Store) -> Result<BTreeMap<ImageId, Vec<Reference>>, Failure> {
    grouped(store.image_names()?)
}

/// All names, by image. One of several platforms is with all its images.
pub(crate) fn names_by_any_image(store: &Store) -> Result<BTreeMap<ImageId, Vec<Reference>>, Failure> {
    let mut all = Vec::new();
    for (name, meaning) in store.names()? {
        all.extend(store.images_of(meaning)?.into_iter().map(|image| (name.clone(), image)));
    }
    grouped(all)
}

/// All names, by what they mean.
pub(crate) fn names_by_meaning(store: &Store) -> Result<BTreeMap<Named, Vec<Reference>>, Failure> {
    grouped(store.names()?)
}

fn grouped<T: Ord>(all: Vec<(Reference, T)>) -> Result<BTreeMap<T, Vec<Reference>>, Failure> {
    let mut names: BTreeMap<T, Vec<Reference>> = BTreeMap::new();
    for (reference, id) in all {
        names.entry(id).or_default().push(reference);
    }
    for list in names.values_mut() {
        list.sort_by_key(Reference::familiar);
    }
    Ok(names)
}

/// A name that an image can be given: with a tag, without a digest.
pub(crate) fn new_name(text: &str) -> Result<Reference, Failure> {
    let reference: Reference =
        text.parse().map_err(|e| Failure::new(format!("invalid tag {text:?}: {e}")))?;
    if reference.digest().is_some() {
        return Err(Failure::new(format!("refusing to create a tag with a digest reference: {text}")));
    }
    Ok(reference.with_default_tag())
}

/// The bytes of an image's layers. A layer that occurs twice counts twice, as docker counts it.
pub(crate) fn size(store: &Store, image: &Image) -> Result<u64, Failure> {
    let mut sum = 0;
    for id in &image.layers {
        sum += store.layer(*id)?.map_or(0, |layer| layer.size());
    }
    Ok(sum)
}

/// An ID as lists show it.
pub(crate) fn shown_id(id: impl Into<Named>, whole: bool) -> String {
    let id = id.into();
    if whole { id.to_string() } else { short_hex(id) }
}

/// The first characters of an ID.
pub(crate) fn short_hex(id: impl Into<Named>) -> String {
    id.into().digest().hex()[..SHORT].to_owned()
}
