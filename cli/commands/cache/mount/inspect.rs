//! `rbuild cache mount inspect`.

use rbuild_builder::cache_mount::{self, Cache};
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;
use serde_json::{Value, json};

use super::row;
use crate::args::CacheMountInspectArgs;
use crate::exit::{Exit, Outcome};
use crate::format::List;
use crate::ui;

/// Prints everything that is known, as a JSON list or through a template.
pub(super) fn run(args: &CacheMountInspectArgs, store: &Store) -> Outcome {
    let mut found = Vec::new();
    for text in &args.caches {
        found.extend(cache_mount::find(store, text)?);
    }
    let rows: Vec<Value> = found.iter().map(details).collect();
    let text = match args.format.as_deref() {
        None | Some("json") => format!("{}\n", serde_json::to_string_pretty(&rows)?),
        format => List::parse(format, &[], &[])?.render(&rows)?,
    };
    ui::print(&text)?;
    Ok(Exit::OK)
}

fn details(cache: &Cache) -> Value {
    let mut row = row(cache, Timestamp::now(), true);
    row["Path"] = json!(cache.path);
    row["StartedWith"] = json!(cache.start);
    row["InUse"] = json!(cache.in_use);
    row["Processes"] = json!(cache.users);
    row["LastUsed"] = json!(cache.last_used);
    row["Owner"] = cache.owner.map_or(
        Value::Null,
        |(uid, gid, mode)| json!({ "Uid": uid, "Gid": gid, "Mode": format!("{mode:04o}") }),
    );
    row
}
