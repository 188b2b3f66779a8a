//! `rbuild history`.

use rbuild_image::config::History;
use rbuild_image::store::{Image, Store};
use rbuild_image::time::Timestamp;
use serde_json::{Value, json};

use super::{age, find};
use crate::args::HistoryArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::{Column, List, human};
use crate::ui;

const COLUMNS: [Column; 5] = [
    Column { header: "IMAGE", field: "ID" },
    Column { header: "CREATED", field: "CreatedSince" },
    Column { header: "CREATED BY", field: "CreatedBy" },
    Column { header: "SIZE", field: "Size" },
    Column { header: "COMMENT", field: "Comment" },
];
/// Characters of an instruction where it is shortened.
const SHORT: usize = 45;

/// Prints the instructions that made an image, the last one first.
pub(crate) fn run(args: &HistoryArgs, store: &Store) -> Outcome {
    let image = find::image(store, &args.image)?;
    let rows = rows(&image, store, args)?;
    if args.quiet {
        let lines: String =
            rows.iter().filter_map(|r| r["ID"].as_str()).map(|id| format!("{id}\n")).collect();
        ui::print(&lines)?;
        return Ok(Exit::OK);
    }
    let mut columns = COLUMNS;
    if !args.human {
        columns[1] = Column { header: "CREATED AT", field: "CreatedAt" };
    }
    let known = [&COLUMNS[..], &[age::CREATED_AT]].concat();
    let list = List::parse(args.format.as_deref(), &columns, &known)?;
    ui::print(&list.render(&rows)?)?;
    Ok(Exit::OK)
}

fn rows(image: &Image, store: &Store, args: &HistoryArgs) -> Result<Vec<Value>, Failure> {
    let now = Timestamp::now();
    let mut layers = image.layers.iter();
    let mut rows = Vec::new();
    for entry in &image.config.history {
        let layer = if entry.empty_layer { None } else { layers.next() };
        let bytes = layer.map(|id| store.layer(*id)).transpose()?.flatten().map_or(0, |l| l.size());
        rows.push(row(entry, bytes, now, args));
    }
    // Only the image itself has an ID; what was below it is not an image of its own.
    if let Some(last) = rows.last_mut() {
        last["ID"] = find::shown_id(image.id, args.no_trunc).into();
    }
    rows.reverse();
    Ok(rows)
}

fn row(entry: &History, bytes: u64, now: Timestamp, args: &HistoryArgs) -> Value {
    let created_by = entry.created_by.replace('\t', " ");
    json!({
        "ID": "<missing>",
        "CreatedSince": age::since(entry.created, now),
        "CreatedAt": entry.created.map_or_else(|| "N/A".to_owned(), |t| t.to_string()),
        "CreatedBy": if args.no_trunc { created_by } else { shortened(&created_by) },
        "Size": if args.human { human::size(bytes) } else { bytes.to_string() },
        "Comment": entry.comment,
    })
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHORT {
        return text.to_owned();
    }
    text.chars().take(SHORT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_instructions_are_shortened() {
        assert_eq!(shortened("RUN x"), "RUN x");
        assert_eq!(shortened(&"é".repeat(45)), "é".repeat(45));
        assert_eq!(shortened(&"é".repeat(46)), "é".repeat(44) + "…");
    }
}
