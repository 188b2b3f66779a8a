//! `rbuild system prune`, `rbuild image prune`.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use rbuild_image::store::{PruneRequest, Pruned, Store};
use rbuild_runtime::container::{self, State};

use super::fsck::layer_of_record;
use crate::args::{ImagePruneArgs, PruneArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::format::human;
use crate::ui::{self, Style};

/// A build between its image and the image's name needs less.
const MIN_AGE: Duration = Duration::from_secs(10);

/// Stopped containers, images, the cache.
pub(crate) fn system(args: &PruneArgs, store: &Store, style: Style) -> Outcome {
    let what = if args.all {
        ["all stopped containers", "all images without at least one container", "all build cache"]
    } else {
        ["all stopped containers", "all dangling images", "unused build cache"]
    };
    if !args.force && !confirmed(&format!("This will remove:\n  - {}\n", what.join("\n  - ")), style)? {
        return Ok(Exit::OK);
    }
    let before = store.usage()?.total();
    let mut removed = Vec::new();
    for listed in container::list(store)? {
        let stopped = !matches!(listed.state, State::Running { .. });
        // One that was started or removed in between is none of our business.
        if stopped && container::remove(store, &listed.id).is_ok_and(|gone| gone) {
            removed.push(listed.id.to_string());
        }
    }
    let mut text = section("Deleted Containers:", &removed);
    let (images, pruned) = prune(store, args.all, args.all)?;
    text += &section("Deleted Images:", &images);
    if args.all {
        rbuild_builder::cache_mount::remove_unused(store)?;
    }
    let layers: Vec<String> = pruned.layers.iter().map(ToString::to_string).collect();
    text += &section("Deleted build cache objects:", &layers);
    let freed = before.saturating_sub(store.usage()?.total());
    ui::print(&format!("{text}Total reclaimed space: {}\n", human::size(freed)))?;
    Ok(Exit::OK)
}

/// Images only; the layers that nothing needs afterwards go with them.
pub(crate) fn images(args: &ImagePruneArgs, store: &Store, style: Style) -> Outcome {
    let warning = if args.all {
        "This will remove all images without at least one container associated to them.\n"
    } else {
        "This will remove all dangling images.\n"
    };
    if !args.force && !confirmed(warning, style)? {
        return Ok(Exit::OK);
    }
    let before = store.usage()?.total();
    let (images, _) = prune(store, args.all, false)?;
    let freed = before.saturating_sub(store.usage()?.total());
    let text = section("Deleted Images:", &images);
    ui::print(&format!("{text}Total reclaimed space: {}\n", human::size(freed)))?;
    Ok(Exit::OK)
}

/// Returns lines on the images that went, and what else did.
fn prune(store: &Store, named: bool, cache: bool) -> Result<(Vec<String>, Pruned), Failure> {
    let mut lines = Vec::new();
    if named {
        let keep: BTreeSet<_> = container::list(store)?.into_iter().map(|listed| listed.image).collect();
        for (name, _) in store.image_names()?.into_iter().filter(|(_, id)| !keep.contains(id)) {
            store.remove_name(&name)?;
            lines.push(format!("untagged: {}", name.familiar()));
        }
        for id in store.image_ids()?.into_iter().filter(|id| !keep.contains(id)) {
            store.remove_image(id)?;
            lines.push(format!("deleted: {id}"));
        }
    }
    let request = PruneRequest { cache, min_age: MIN_AGE, layer_of_record: &layer_of_record };
    let pruned = store.prune(&request)?;
    lines.extend(pruned.images.iter().map(|id| format!("deleted: {id}")));
    Ok((lines, pruned))
}

/// Docker's question; anything but y is no.
fn confirmed(warning: &str, style: Style) -> Result<bool, Failure> {
    ui::warn(&format!("{warning}\nAre you sure you want to continue? [y/N]"), style);
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|e| Failure::new(format!("read standard input: {e}")))?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}

fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("{title}\n{}\n\n", lines.join("\n")) }
}
