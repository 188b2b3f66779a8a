//! `rbuild cache prune --remote`: what nobody reads any more, where a cache travels.

use std::fmt::Write as _;

use rbuild_image::place::{Keep, prune};
use rbuild_image::registry::Registry;
use rbuild_image::time::Timestamp;

use super::confirmed;
use super::filter::Filter;
use crate::args::CachePruneArgs;
use crate::commands::caches::Caches;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::human;
use crate::settings::{self, CachePlace, Environment};
use crate::ui::{self, Style};

/// Removes caches that are too many or too old, those that were replaced, and blobs that none of them needs.
pub(crate) fn run(args: &CachePruneArgs, environment: &Environment, style: Style) -> Outcome {
    let filter = Filter::of_remote(&args.filter)?;
    let registry = Registry::new(settings::registry(environment)?);
    let place = CachePlace::parse(args.remote.as_deref().unwrap_or_default(), environment)?;
    let place = Caches::new(&registry, None)?.place(&place)?;
    let keep = Keep { newest: args.keep, until: filter.until };
    let what = match (keep.newest, keep.until) {
        (None, None) => "what was replaced, and what no cache needs",
        _ => "the caches that are not to be kept, and what no other one needs",
    };
    let question = format!("This will remove {what}, from {}.\n", place.name());
    if !args.force && !confirmed(&question, style)? {
        return Ok(Exit::OK);
    }
    let removed = prune(&*place, keep, Timestamp::now()).map_err(|error| Failure::new(error.to_string()))?;
    let mut text = String::new();
    if !removed.heads.is_empty() {
        let _ = writeln!(text, "Deleted caches:\n{}\n", removed.heads.join("\n"));
    }
    let _ =
        writeln!(text, "Total reclaimed space: {} in {} blobs", human::size(removed.bytes), removed.blobs);
    ui::print(&text)?;
    Ok(Exit::OK)
}
