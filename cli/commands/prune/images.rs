//! `rbuild image prune`.

use std::collections::BTreeSet;
use std::time::Duration;

use rbuild_builder::room::layer_of_record;
use rbuild_image::digest::ImageId;
use rbuild_image::store::{Image, Named, PruneRequest, Store};
use rbuild_runtime::container;

use super::filter::Filter;
use super::{confirmed, reclaimed, section};
use crate::args::ImagePruneArgs;
use crate::commands::find;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui::{self, Style};

/// A build between its image and the image's name needs less.
const MIN_AGE: Duration = Duration::from_secs(10);

/// Images only; the layers that nothing needs afterwards go with them.
pub(crate) fn run(args: &ImagePruneArgs, store: &Store, style: Style) -> Outcome {
    let filter = Filter::of_images(&args.filter)?;
    let warning = if args.all {
        "This will remove all images without at least one container associated to them.\n"
    } else {
        "This will remove all dangling images.\n"
    };
    if !args.force && !confirmed(warning, style)? {
        return Ok(Exit::OK);
    }
    let before = store.usage()?.total();
    let text = section("Deleted Images:", &prune(store, args.all, &filter)?);
    ui::print(&(text + &reclaimed(before, store.usage()?.total())))?;
    Ok(Exit::OK)
}

/// Removes images, with `named` those with names, too. Returns lines on those that went.
pub(super) fn prune(store: &Store, named: bool, filter: &Filter) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    if named {
        let keep = in_use(store)?;
        let mut goes = BTreeSet::new();
        for image in find::all(store)?.into_iter().filter(|image| !keep.contains(&image.id)) {
            if accepts(filter, &image) && !store.is_below(image.id)? {
                goes.insert(image.id);
            }
        }
        lines.extend(untag_all(store, &mut goes)?);
        let goes: Vec<ImageId> = goes.into_iter().collect();
        for id in &goes {
            store.remove_image(*id)?;
            lines.push(format!("deleted: {id}"));
        }
        store.forget_manifests(&goes)?;
    }
    let pruned = store.prune(&PruneRequest {
        forget: &|_| false,
        nameless: &|image| accepts(filter, image),
        min_age: MIN_AGE,
        min_log_age: Duration::ZERO,
        layer_of_record: &layer_of_record,
    })?;
    lines.extend(pruned.images.iter().map(|id| format!("deleted: {id}")));
    Ok(lines)
}

/// Removes the names of images. Images for several platforms go together or not at all.
fn untag_all(store: &Store, goes: &mut BTreeSet<ImageId>) -> Result<Vec<String>, Failure> {
    let names = find::names_by_meaning(store)?;
    let mut lines = Vec::new();
    // An image that stays keeps those that share a name with it, and they those that share one with them.
    let mut before = usize::MAX;
    while goes.len() < std::mem::replace(&mut before, goes.len()) {
        for meaning in names.keys() {
            let images = store.images_of(*meaning)?;
            if images.iter().any(|id| !goes.contains(id)) {
                goes.retain(|id| !images.contains(id));
            }
        }
    }
    for (meaning, names) in names {
        if !store.images_of(meaning)?.iter().all(|id| goes.contains(id)) {
            continue;
        }
        for name in names {
            if store.remove_name(&name)? {
                lines.push(format!("untagged: {}", name.familiar()));
            }
        }
        if let Named::Index(id) = meaning {
            store.remove_index(id)?;
        }
    }
    Ok(lines)
}

fn accepts(filter: &Filter, image: &Image) -> bool {
    filter.allows(image.config.created, &image.config.config.labels)
}

/// Images that containers stand on, or that a running process has: one of which it uses all layers, as a build uses
/// those of its base.
fn in_use(store: &Store) -> Result<BTreeSet<ImageId>, Failure> {
    let mut keep: BTreeSet<_> = container::list(store)?.into_iter().map(|listed| listed.image).collect();
    let layers = store.layers_in_use()?;
    let is_used = |image: &Image| {
        !image.layers.is_empty() && image.layers.iter().all(|layer| layers.contains_key(layer))
    };
    keep.extend(find::all(store)?.into_iter().filter(is_used).map(|image| image.id));
    Ok(keep)
}
