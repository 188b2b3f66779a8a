//! `rbuild images`, `rbuild image ls`.

use std::collections::BTreeSet;

use rbuild_image::digest::{ImageId, ManifestDigest};
use rbuild_image::reference::Reference;
use rbuild_image::store::{Image, Named, Store};
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
    /// Of several platforms this machine's.
    pub(super) image: Image,
    /// What the name means.
    id: Named,
}

/// Prints the list.
pub(crate) fn run(args: &ImagesArgs, store: &Store) -> Outcome {
    let mut filters = Filters::parse(&args.filter, store)?;
    if let Some(pattern) = &args.repository {
        filters.add_repository(pattern);
    }
    let entries: Vec<Entry> = entries(store)?.into_iter().filter(|e| filters.accept(e)).collect();
    if args.quiet {
        let mut ids: Vec<Named> = entries.iter().map(|e| e.id).collect();
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

/// Newest first, then by name. The images of an index have a line of their own only under names of their own.
fn entries(store: &Store) -> Result<Vec<Entry>, Failure> {
    let mut names = find::names_by_meaning(store)?;
    let mut lines: Vec<(Image, Named)> = Vec::new();
    let mut parts: BTreeSet<ImageId> = BTreeSet::new();
    for id in store.index_ids()?.into_iter().map(Named::Index).filter(|id| names.contains_key(id)) {
        parts.extend(store.images_of(id)?);
        lines.extend(store.image_here(id)?.map(|image| (image, id)));
    }
    let images = find::all(store)?.into_iter().map(|image| (Named::Image(image.id), image));
    let images = images.filter(|(id, image)| names.contains_key(id) || !parts.contains(&image.id));
    lines.extend(images.map(|(id, image)| (image, id)));
    lines.sort_by(|a, b| b.0.config.created.cmp(&a.0.config.created).then(a.1.cmp(&b.1)));
    let mut entries = Vec::new();
    for (image, id) in lines {
        let of_image = names.remove(&id).unwrap_or_default();
        if of_image.is_empty() {
            entries.push(Entry { name: None, image, id });
            continue;
        }
        entries.extend(of_image.into_iter().map(|name| Entry { name: Some(name), image: image.clone(), id }));
    }
    Ok(entries)
}

/// The bytes of the layers of everything that the line stands for.
fn size(entry: &Entry, store: &Store) -> Result<u64, Failure> {
    let Named::Index(_) = entry.id else { return find::size(store, &entry.image) };
    let mut layers = BTreeSet::new();
    for id in store.images_of(entry.id)? {
        layers.extend(store.image(id)?.into_iter().flat_map(|image| image.layers));
    }
    let mut sum = 0;
    for id in layers {
        sum += store.layer(id)?.map_or(0, |layer| layer.size());
    }
    Ok(sum)
}

/// The digest under which the registry of a name has the image: that which it came as, if it came from there.
fn known_as(name: &Reference, image: &Image, store: &Store) -> Result<Option<ManifestDigest>, Failure> {
    if let Some(digest) = store.document(name)?
        && store.repo_digests(image.id)?.contains(&name.clone().at(digest.0))
    {
        return Ok(Some(digest));
    }
    Ok(store.digest_in(image.id, name)?)
}

fn row(entry: &Entry, store: &Store, now: Timestamp, whole: bool) -> Result<Value, Failure> {
    let Entry { name, image, id } = entry;
    let size = human::size(size(entry, store)?);
    let digest = match name {
        Some(name) => known_as(name, image, store)?,
        None => None,
    };
    Ok(json!({
        "Repository": name.as_ref().map_or_else(|| NONE.to_owned(), Reference::familiar_repository),
        "Tag": name.as_ref().and_then(|n| n.tag()).unwrap_or(NONE),
        "Digest": digest.map_or_else(|| NONE.to_owned(), |digest| digest.to_string()),
        "ID": find::shown_id(*id, whole),
        "CreatedSince": age::since(image.config.created, now),
        "CreatedAt": age::at(image.config.created),
        "Size": size,
        "VirtualSize": size,
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "Containers": "N/A",
    }))
}
