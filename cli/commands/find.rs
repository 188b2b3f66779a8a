//! The store, and images by what people call them.

use std::collections::BTreeMap;

use rbuild_image::digest::ImageId;
use rbuild_image::reference::Reference;
use rbuild_image::store::{Image, ResolveError, Store};

use crate::exit::Failure;

/// Characters of an ID where it is shortened.
const SHORT: usize = 12;

/// The image of that name, ID or prefix of an ID.
pub(crate) fn image(store: &Store, text: &str) -> Result<Image, Failure> {
    store.resolve(text).map_err(|error| match error {
        ResolveError::NotFound(_) => Failure::new(format!("No such image: {text}")),
        other => other.into(),
    })
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

/// All names, by image.
pub(crate) fn names_by_image(store: &Store) -> Result<BTreeMap<ImageId, Vec<Reference>>, Failure> {
    let mut names: BTreeMap<ImageId, Vec<Reference>> = BTreeMap::new();
    for (reference, id) in store.image_names()? {
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
        text.parse().map_err(|e| Failure::new(format!("invalid reference format: {text:?}: {e}")))?;
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
pub(crate) fn shown_id(id: ImageId, whole: bool) -> String {
    if whole { id.to_string() } else { short_hex(id) }
}

/// The first characters of an ID.
pub(crate) fn short_hex(id: ImageId) -> String {
    id.hex()[..SHORT].to_owned()
}
