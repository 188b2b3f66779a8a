//! `rbuild cache mount rm`.

use rbuild_builder::cache_mount;
use rbuild_image::store::Store;

use crate::args::CacheMountRmArgs;
use crate::exit::{Exit, FAILURE, Failure, Outcome};
use crate::ui;

/// Removes what it can, prints the names of what went, and ends with the reasons for the rest.
pub(super) fn run(args: &CacheMountRmArgs, store: &Store) -> Outcome {
    let mut problems = Vec::new();
    let mut wanted = if args.all { cache_mount::list(store)? } else { Vec::new() };
    for text in &args.caches {
        match cache_mount::find(store, text) {
            Ok(found) => wanted.extend(found),
            Err(error) => problems.push(error.to_string()),
        }
    }
    let mut removed = Vec::new();
    for cache in wanted {
        if removed.contains(&cache.name) {
            continue;
        }
        match cache_mount::remove(store, &cache) {
            Ok(()) => {
                ui::print(&format!("{}\n", cache.name))?;
                removed.push(cache.name);
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    match problems.is_empty() {
        true => Ok(Exit::OK),
        false => Err(Failure::new(problems.join("\n")).with_code(FAILURE)),
    }
}
