//! `rbuild cache mount ls`.

use rbuild_builder::cache_mount;
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;
use serde_json::Value;

use super::row;
use crate::args::CacheMountLsArgs;
use crate::exit::{Exit, Outcome};
use crate::format::{Column, List};
use crate::ui;

const COLUMNS: [Column; 5] = [
    Column { header: "NAME", field: "Name" },
    Column { header: "ID", field: "ID" },
    Column { header: "SIZE", field: "Size" },
    Column { header: "LAST USED", field: "LastUsedSince" },
    Column { header: "IN USE BY", field: "InUseBy" },
];
const LAST_USED_AT: Column = Column { header: "LAST USED AT", field: "LastUsedAt" };

/// Prints the list, by id.
pub(super) fn run(args: &CacheMountLsArgs, store: &Store) -> Outcome {
    let mut caches = cache_mount::list(store)?;
    caches.sort_by(|one, other| (&one.id, &one.name).cmp(&(&other.id, &other.name)));
    let now = Timestamp::now();
    if args.quiet {
        let names: String = caches.iter().map(|cache| format!("{}\n", cache.name)).collect();
        ui::print(&names)?;
        return Ok(Exit::OK);
    }
    let known = [&COLUMNS[..], &[LAST_USED_AT]].concat();
    let list = List::parse(args.format.as_deref(), &COLUMNS, &known)?;
    let rows: Vec<Value> = caches.iter().map(|cache| row(cache, now, args.no_trunc)).collect();
    ui::print(&list.render(&rows)?)?;
    Ok(Exit::OK)
}
