//! `rbuild system prune`.

use rbuild_builder::room::{self, Kind, Wish};
use rbuild_image::store::Store;
use rbuild_runtime::container::{self, State};

use super::filter::Filter;
use super::{confirmed, images, reclaimed, section};
use crate::args::PruneArgs;
use crate::exit::{Exit, Outcome};
use crate::ui::{self, Style};

/// Stopped containers, images, the cache.
pub(crate) fn run(args: &PruneArgs, store: &Store, style: Style) -> Outcome {
    let filter = Filter::of_images(&args.filter)?;
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
        if stopped
            && filter.allows(Some(listed.created), &Default::default())
            && container::remove(store, &listed.id).is_ok_and(|gone| gone)
        {
            removed.push(listed.id.to_string());
        }
    }
    let mut text = section("Deleted Containers:", &removed);
    text += &section("Deleted Images:", &images::prune(store, args.all, &filter)?);
    // What failed steps left makes no build faster.
    let kinds = if args.all { Vec::new() } else { vec![Kind::Failed] };
    let wish = Wish { all: args.all, kinds, unused_since: filter.until, ..Wish::default() };
    let collected = room::collect(store, &wish)?;
    let ids: Vec<String> = collected.items.into_iter().map(|item| item.id).collect();
    text += &section("Deleted build cache objects:", &ids);
    ui::print(&(text + &reclaimed(before, store.usage()?.total())))?;
    Ok(Exit::OK)
}
