//! `--metadata-file`: what a build led to, for programs, with buildx's names of the members.

use std::path::Path;

use rbuild_image::reference::Reference;
use rbuild_image::store::Named;
use serde_json::{Map, Value};

use crate::exit::Failure;

/// Writes the image's ID and names; without an image, an empty object.
pub(super) fn write(path: &Path, image: Option<Named>, names: &[Reference]) -> Result<(), Failure> {
    let mut members = Map::new();
    if let Some(image) = image {
        let member = match image {
            Named::Image(_) => "containerimage.config.digest",
            Named::Index(_) => "containerimage.digest",
        };
        members.insert(member.to_owned(), image.to_string().into());
    }
    if image.is_some() && !names.is_empty() {
        let names: Vec<String> = names.iter().map(Reference::canonical).collect();
        members.insert("image.name".to_owned(), names.join(",").into());
    }
    let text = format!("{:#}\n", Value::Object(members));
    std::fs::write(path, text).map_err(|error| Failure::new(format!("write {}: {error}", path.display())))
}
