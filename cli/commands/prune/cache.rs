//! `rbuild cache prune`.

use rbuild_builder::room::{self, Budget, Item, Wish};
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;
use serde_json::{Value, json};

use super::confirmed;
use super::filter::Filter;
use crate::args::CachePruneArgs;
use crate::commands::age;
use crate::exit::{Exit, Outcome};
use crate::format::{Column, List, human};
use crate::ui::{self, Style};

const COLUMNS: [Column; 5] = [
    Column { header: "ID", field: "ID" },
    Column { header: "TYPE", field: "Type" },
    Column { header: "SIZE", field: "Size" },
    Column { header: "LAST USED", field: "LastUsed" },
    Column { header: "DESCRIPTION", field: "Description" },
];

/// Removes the build cache, or as much of it as the limits ask for.
pub(crate) fn run(args: &CachePruneArgs, store: &Store, style: Style) -> Outcome {
    let filter = Filter::of_cache(&args.filter)?;
    let limits = [args.reserved_space, args.max_used_space, args.min_free_space];
    let [reserved, max_used, min_free] = limits;
    let budget = limits.iter().any(Option::is_some).then_some(Budget { reserved, max_used, min_free });
    let what = if args.all { "all build cache" } else { "all build cache that no image needs" };
    if !args.force && !confirmed(&format!("This will remove {what}.\n"), style)? {
        return Ok(Exit::OK);
    }
    let wish = Wish {
        all: args.all,
        unused_since: filter.until,
        kinds: filter.kinds,
        ids: filter.ids,
        budget,
        ..Wish::default()
    };
    let collected = room::collect(store, &wish)?;
    let mut text = String::new();
    if args.verbose && !collected.items.is_empty() {
        let now = Timestamp::now();
        let rows: Vec<Value> = collected.items.iter().map(|item| row(item, now)).collect();
        text = List::parse(None, &COLUMNS, &COLUMNS)?.render(&rows)? + "\n";
    } else if !collected.items.is_empty() {
        let ids: Vec<&str> = collected.items.iter().map(|item| item.id.as_str()).collect();
        text = format!("Deleted build cache objects:\n{}\n\n", ids.join("\n"));
    }
    ui::print(&format!("{text}Total reclaimed space: {}\n", human::size(collected.bytes)))?;
    Ok(Exit::OK)
}

fn row(item: &Item, now: Timestamp) -> Value {
    json!({
        "ID": item.id[..12.min(item.id.len())],
        "Type": item.kind.to_string(),
        "Size": human::size(item.bytes),
        "LastUsed": age::since(Some(item.last_used), now),
        "Description": item.description,
    })
}
