//! `rbuild manifest inspect`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rbuild_image::archive;
use rbuild_image::digest::ManifestDigest;
use rbuild_image::manifest::{Descriptor, Kind, Manifest, media_type};
use rbuild_image::reference::Reference;
use rbuild_image::registry::{ImageManifest, Registry, RegistryError, Settings};
use rbuild_image::store::{ListEntry, Named, Store};
use serde::Serialize;

use super::indent::indented;
use super::{list, missing, missing_in_registry, name, registry};
use crate::args::ManifestInspectArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui::{self, Transfer};

/// Prints what a name leads to: a list in the making, what was kept of what came from elsewhere, what was built here as
/// `save` and `type=oci` write it, or what a registry has.
pub(super) fn run(args: &ManifestInspectArgs, settings: Settings, store: &Store) -> Outcome {
    if let [of_list, wanted] = &args.names[..] {
        return in_list(args, of_list, wanted, store);
    }
    let text = &args.names[0];
    let name = name(text)?;
    let registry = registry(settings, args.insecure, &[&name]);
    if let Some(list) = store.list(&name)? {
        if !args.verbose {
            return show(args, list.index().bytes);
        }
        let images = list.entries.iter().map(|entry| listed(entry, store)).collect::<Result<Vec<_>, _>>()?;
        let shown = images.iter().zip(&list.entries).map(|(image, entry)| Described::new(&entry.name, image));
        return show(args, serde_json::to_vec(&shown.collect::<Vec<_>>())?);
    }
    if args.verbose {
        return verbose(&name, args, &registry);
    }
    let here = store.meaning(&name)?;
    let kept = store.document(&name)?.map_or(Ok(None), |digest| store.kept_manifest(digest))?;
    let bytes = match (kept, here) {
        (Some(kept), _) => kept.bytes,
        (None, Some(what)) if was_built(what, store)? => archive::manifest(store, what)?.1,
        (None, here) => from_registry(&name, here, &registry, store)?,
    };
    show(args, bytes)
}

fn show(args: &ManifestInspectArgs, bytes: Vec<u8>) -> Outcome {
    ui::print_raw(&if args.raw { bytes } else { indented(&bytes) })?;
    Ok(Exit::OK)
}

/// One manifest of a list.
fn in_list(args: &ManifestInspectArgs, of_list: &str, wanted: &str, store: &Store) -> Outcome {
    let list = list(of_list, store)?;
    let name = name(wanted)?;
    let entry = list.entries.iter().find(|entry| entry.name == name).ok_or_else(|| missing(wanted))?;
    let image = listed(entry, store)?;
    if args.verbose {
        return show(args, serde_json::to_vec(&Described::new(&entry.name, &image))?);
    }
    show(args, image.raw.bytes)
}

/// The manifest that an entry leads to; it was kept when the entry was made.
fn listed(entry: &ListEntry, store: &Store) -> Result<ImageManifest, Failure> {
    let raw = store.kept_manifest(ManifestDigest(entry.descriptor.digest.0))?;
    let raw = raw.ok_or_else(|| missing(&entry.name.familiar()))?;
    let Some(Kind::Manifest(manifest)) = raw.read() else { return Err(missing(&entry.name.familiar())) };
    Ok(ImageManifest { raw, descriptor: entry.descriptor.clone(), manifest })
}

/// A registry that has nothing of that name is no reason not to show what the store has.
fn from_registry(
    name: &Reference,
    here: Option<Named>,
    registry: &Registry,
    store: &Store,
) -> Result<Vec<u8>, Failure> {
    match (registry.manifest(name, &Transfer::silent()), here) {
        (Ok(found), _) => Ok(found.bytes),
        (Err(RegistryError::NotFound(_) | RegistryError::Denied { .. }), Some(what)) => {
            Ok(archive::manifest(store, what)?.1)
        }
        (Err(error), _) => Err(missing_in_registry(name, error)),
    }
}

/// Whether a layer of it was made here: no registry has a manifest for that unless it was pushed.
fn was_built(what: Named, store: &Store) -> Result<bool, Failure> {
    for id in store.images_of(what)? {
        for layer in store.image(id)?.into_iter().flat_map(|image| image.layers) {
            if store.layer(layer)?.is_some_and(|layer| layer.foreign_blob().is_none()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// As docker shows it: an object for an image, a list of them for an index.
fn verbose(name: &Reference, args: &ManifestInspectArgs, registry: &Registry) -> Outcome {
    let found = registry.image_manifests(name, &Transfer::silent());
    let (is_list, images) = found.map_err(|error| missing_in_registry(name, error))?;
    let shown: Vec<Described<'_>> = images.iter().map(|image| Described::new(name, image)).collect();
    let bytes = match &shown[..] {
        [only] if !is_list => serde_json::to_vec(only)?,
        all => serde_json::to_vec(all)?,
    };
    show(args, bytes)
}

/// One image, in the order of docker.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described<'a> {
    r#ref: String,
    descriptor: Descriptor,
    /// In base 64.
    raw: String,
    #[serde(rename = "SchemaV2Manifest", skip_serializing_if = "Option::is_none")]
    docker: Option<&'a Manifest>,
    #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
    oci: Option<&'a Manifest>,
}

impl<'a> Described<'a> {
    fn new(name: &Reference, image: &'a ImageManifest) -> Self {
        let ImageManifest { raw, descriptor, manifest } = image;
        let is_docker = raw.media_type == media_type::DOCKER_MANIFEST;
        Self {
            r#ref: format!("{}@{}", name.clone().without_suffix().canonical(), raw.digest),
            descriptor: descriptor.clone(),
            raw: STANDARD.encode(&raw.bytes),
            docker: is_docker.then_some(manifest),
            oci: (!is_docker).then_some(manifest),
        }
    }
}
