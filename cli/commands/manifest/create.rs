//! `rbuild manifest create`.

use rbuild_image::reference::Reference;
use rbuild_image::registry::{Compression, Registry, Settings, manifest_for};
use rbuild_image::store::{ListEntry, ManifestList, Named, Store};

use super::{list_name, missing_in_registry, name, registry};
use crate::args::ManifestCreateArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui::{self, Transfer};

/// Begins a list, or adds to one. What a name means is looked up in the store, and then in its registry; nothing but
/// manifests is fetched.
pub(super) fn run(args: &ManifestCreateArgs, settings: Settings, store: &Store) -> Outcome {
    let name_of_list = list_name(&args.list)?;
    let names = args.manifests.iter().map(|text| name(text)).collect::<Result<Vec<_>, _>>()?;
    let mut list = match store.list(&name_of_list)? {
        Some(_) if !args.amend => {
            let message = "refusing to amend an existing manifest list with no --amend flag";
            return Err(Failure::new(message));
        }
        Some(list) => list,
        None => ManifestList { name: name_of_list.clone(), entries: Vec::new() },
    };
    let registry = registry(settings, args.insecure, &names.iter().collect::<Vec<_>>());
    for name in &names {
        let found = match store.meaning(name)? {
            Some(meaning) => from_store(name, meaning, store)?,
            None => from_registry(name, &registry, store)?,
        };
        for entry in found {
            let digest = entry.descriptor.digest;
            let same = |other: &ListEntry| other.name == entry.name || other.descriptor.digest == digest;
            let same = list.entries.iter().position(same);
            match same {
                Some(at) => list.entries[at] = entry,
                None => list.entries.push(entry),
            }
        }
    }
    store.put_list(&list)?;
    ui::print(&format!("Created manifest list {}\n", name_of_list.canonical()))?;
    Ok(Exit::OK)
}

/// The manifests that the images would be pushed under; of several platforms each, by its digest.
fn from_store(name: &Reference, meaning: Named, store: &Store) -> Result<Vec<ListEntry>, Failure> {
    let document = store.document(name)?;
    let mut found = Vec::new();
    for id in store.images_of(meaning)? {
        let vanished = || Failure::new(format!("image {id} has vanished from the store"));
        let image = store.image(id)?.ok_or_else(vanished)?;
        // One whose blobs are not here is as good if the registry of the name has them.
        let kept = store.as_it_came(&image, document)?;
        let kept = kept.filter(|kept| kept.is_whole() || document.is_some()).map(|kept| kept.raw);
        let raw = manifest_for(store, &image, kept, Compression::default())?;
        let mut descriptor = raw.descriptor();
        descriptor.platform = Some(image.config.platform());
        let name = match meaning {
            Named::Image(_) => name.clone(),
            Named::Index(_) => name.clone().without_suffix().at(raw.digest.0),
        };
        found.push(ListEntry { name, descriptor });
    }
    Ok(found)
}

fn from_registry(name: &Reference, registry: &Registry, store: &Store) -> Result<Vec<ListEntry>, Failure> {
    let (is_list, manifests) = registry
        .image_manifests(name, &Transfer::silent())
        .map_err(|error| missing_in_registry(name, error))?;
    let mut found = Vec::new();
    for manifest in manifests {
        store.keep_manifest(&manifest.raw)?;
        let name = match is_list {
            true => name.clone().without_suffix().at(manifest.raw.digest.0),
            false => name.clone(),
        };
        found.push(ListEntry { name, descriptor: manifest.descriptor });
    }
    Ok(found)
}
