//! `rbuild images`, `rbuild image ls`.

use rbuild_image::digest::ImageId;
use rbuild_image::reference::Reference;
use rbuild_image::store::{Image, Store};
use rbuild_image::time::Timestamp;
use serde_json::{Value, json};

use super::filter::Filters;
use super::{age, find};
use crate::args::ImagesArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::{Column, List, human};
use crate::ui;

const COLUMNS: [Column; 5] = [
    Column { header: "REPOSITORY", field: "Repository" },
    Column { header: "TAG", field: "Tag" },
    Column { header: "IMAGE ID", field: "ID" },
    Column { header: "CREATED", field: "CreatedSince" },
    Column { header: "SIZE", field: "Size" },
];
const DIGEST: Column = Column { header: "DIGEST", field: "Digest" };
const NONE: &str = "<none>";

/// A line of the list: a name and its image. An image without a name has one line too.
pub(super) struct Entry {
    pub(super) name: Option<Reference>,
    pub(super) image: Image,
}

/// Prints the list.
pub(crate) fn run(args: &ImagesArgs, store: &Store) -> Outcome {
    let mut filters = Filters::parse(&args.filter, store)?;
    if let Some(pattern) = &args.repository {
        filters.add_repository(pattern);
    }
    let entries: Vec<Entry> = entries(store)?.into_iter().filter(|e| filters.accept(e)).collect();
    if args.quiet {
        let mut ids: Vec<ImageId> = entries.iter().map(|e| e.image.id).collect();
        ids.dedup();
        let lines: String = ids.iter().map(|id| find::shown_id(*id, args.no_trunc) + "\n").collect();
        ui::print(&lines)?;
        return Ok(Exit::OK);
    }
    let mut columns = COLUMNS.to_vec();
    if args.digests {
        columns.insert(2, DIGEST);
    }
    let known = [&COLUMNS[..], &[DIGEST, age::CREATED_AT]].concat();
    let list = List::parse(args.format.as_deref(), &columns, &known)?;
    let now = Timestamp::now();
    let rows = entries.iter().map(|e| row(e, store, now, args.no_trunc)).collect::<Result<Vec<_>, _>>()?;
    ui::print(&list.render(&rows)?)?;
    Ok(Exit::OK)
}

/// Newest first, then by name.
fn entries(store: &Store) -> Result<Vec<Entry>, Failure> {
    let mut names = find::names_by_image(store)?;
    let mut images = find::all(store)?;
    images.sort_by(|a, b| b.config.created.cmp(&a.config.created).then(a.id.cmp(&b.id)));
    let mut entries = Vec::new();
    for image in images {
        let of_image = names.remove(&image.id).unwrap_or_default();
        if of_image.is_empty() {
            entries.push(Entry { name: None, image });
            continue;
        }
        entries.extend(of_image.into_iter().map(|name| Entry { name: Some(name), image: image.clone() }));
    }
    Ok(entries)
}

fn row(entry: &Entry, store: &Store, now: Timestamp, whole: bool) -> Result<Value, Failure> {
    let Entry { name, image } = entry;
    let size = human::size(find::size(store, image)?);
    Ok(json!({
        "Repository": name.as_ref().map_or_else(|| NONE.to_owned(), Reference::familiar_repository),
        "Tag": name.as_ref().and_then(|n| n.tag()).unwrap_or(NONE),
        "Digest": NONE,
        "ID": find::shown_id(image.id, whole),
        "CreatedSince": age::since(image.config.created, now),
        "CreatedAt": age::at(image.config.created),
        "Size": size,
        "VirtualSize": size,
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "Containers": "N/A",
    }))
}
