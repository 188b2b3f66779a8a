//! `rbuild system df -v`: every image, container and volume, and every piece of the build cache.

use rbuild_builder::room::Item;
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;
use serde_json::{Value, json};

use super::{Facts, is_running};
use crate::commands::{age, find};
use crate::exit::Failure;
use crate::format::{Column, List, human};

/// Characters of a description in the table.
const DESCRIPTION: usize = 48;

type Columns = &'static [(&'static str, &'static str)];

const IMAGES: Columns = &[
    ("IMAGE", "Name"),
    ("IMAGE ID", "ID"),
    ("SIZE", "Size"),
    ("SHARED SIZE", "SharedSize"),
    ("UNIQUE SIZE", "UniqueSize"),
    ("CONTAINERS", "Containers"),
];
const CONTAINERS: Columns = &[
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("SIZE", "Size"),
    ("STATUS", "Status"),
    ("NAMES", "Names"),
];
const VOLUMES: Columns = &[("VOLUME NAME", "Name"), ("SIZE", "Size")];
const CACHE: Columns = &[
    ("CACHE ID", "ID"),
    ("CACHE TYPE", "CacheType"),
    ("SIZE", "Size"),
    ("CREATED", "CreatedSince"),
    ("LAST USED", "LastUsedSince"),
    ("TOOK", "Took"),
    ("SHARED", "Shared"),
    ("NEEDED BY", "NeededBy"),
    ("DESCRIPTION", "Description"),
];

/// Tables.
pub(super) fn text(facts: &Facts, store: &Store) -> Result<String, Failure> {
    let mut text = "Images space usage:\n\n".to_owned();
    text += &table(IMAGES, &images(facts, store)?)?;
    text += "\nContainers space usage:\n\n";
    text += &table(CONTAINERS, &containers(facts))?;
    text += "\nLocal Volumes space usage:\n\n";
    text += &table(VOLUMES, &volumes(facts))?;
    text += &format!("\nBuild cache usage: {}\n\n", human::size(facts.survey.cache_bytes()));
    let now = Timestamp::now();
    let cache: Vec<Value> = facts.survey.items.iter().map(|item| shortened(item, now)).collect();
    text += &table(CACHE, &cache)?;
    Ok(text)
}

/// The same as one object, in docker's words.
pub(super) fn json(facts: &Facts, store: &Store) -> Result<Value, Failure> {
    let now = Timestamp::now();
    Ok(json!({
        "Images": images(facts, store)?,
        "Containers": containers(facts),
        "Volumes": volumes(facts),
        "BuildCache": facts.survey.items.iter().map(|item| item_of(item, now)).collect::<Vec<_>>(),
    }))
}

fn images(facts: &Facts, store: &Store) -> Result<Vec<Value>, Failure> {
    let mut names = find::names_by_image(store)?;
    let row = |image: &rbuild_image::store::Image| {
        let name = names.remove(&image.id).unwrap_or_default();
        let name = name.first().map_or_else(|| "<none>".to_owned(), |name| name.familiar());
        let (shared, unique) = facts.split(image);
        let containers = facts.containers.iter().filter(|c| c.image == image.id).count();
        json!({"Name": name, "ID": find::short_hex(image.id), "Size": human::size(shared + unique),
               "SharedSize": human::size(shared), "UniqueSize": human::size(unique),
               "Containers": containers.to_string()})
    };
    Ok(facts.images.iter().map(row).collect())
}

fn containers(facts: &Facts) -> Vec<Value> {
    let row = |c: &rbuild_runtime::container::Listed| {
        let bytes = facts.survey.usage.containers.get(c.id.as_str()).copied().unwrap_or(0);
        let status = if is_running(c) { "running" } else { "stopped" };
        json!({"ID": c.id.short(), "Image": c.image_name, "Command": c.command.join(" "),
               "Size": human::size(bytes), "Status": status, "Names": c.name})
    };
    facts.containers.iter().map(row).collect()
}

fn volumes(facts: &Facts) -> Vec<Value> {
    let volumes = facts.survey.usage.volumes.iter();
    volumes.map(|(name, bytes)| json!({"Name": name, "Size": human::size(*bytes)})).collect()
}

fn item_of(item: &Item, now: Timestamp) -> Value {
    json!({
        "ID": item.id,
        "CacheType": item.kind.to_string(),
        "Size": human::size(item.bytes),
        "Bytes": item.bytes,
        "CreatedSince": age::since(item.created, now),
        "LastUsedSince": age::since(Some(item.last_used), now),
        "LastUsedAt": age::at(Some(item.last_used)),
        "Milliseconds": item.millis,
        "Took": took(item.millis),
        "InUse": item.in_use,
        "Shared": item.shared,
        "NeededBy": item.needed_by,
        "Description": item.description,
    })
}

/// As it fits into a table.
fn shortened(item: &Item, now: Timestamp) -> Value {
    let mut row = item_of(item, now);
    row["ID"] = item.id[..12.min(item.id.len())].into();
    let words: Vec<&str> = item.description.split_whitespace().collect();
    let mut description = words.join(" ");
    if description.chars().count() > DESCRIPTION {
        description = description.chars().take(DESCRIPTION - 1).chain(['…']).collect();
    }
    row["Description"] = description.into();
    row["NeededBy"] = match &item.needed_by[..] {
        [] => "-".to_owned(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
    .into();
    row
}

/// A time as people say it.
fn took(millis: u64) -> String {
    match millis {
        0 => "-".to_owned(),
        1..1000 => format!("{millis}ms"),
        1000..60_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        _ => format!("{}m{}s", millis / 60_000, millis % 60_000 / 1000),
    }
}

fn table(columns: Columns, rows: &[Value]) -> Result<String, Failure> {
    let columns: Vec<Column> = columns.iter().map(|(header, field)| Column { header, field }).collect();
    Ok(List::parse(None, &columns, &columns)?.render(rows)?)
}
