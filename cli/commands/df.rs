//! `rbuild system df`.

use std::collections::BTreeSet;

use rbuild_image::digest::LayerId;
use rbuild_image::store::{Image, Store, Usage};
use rbuild_runtime::container::{self, Listed, State};
use serde_json::{Value, json};

use super::find;
use crate::args::DfArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::{Column, List, human};
use crate::ui;

const COLUMNS: [Column; 5] = [
    Column { header: "TYPE", field: "Type" },
    Column { header: "TOTAL", field: "TotalCount" },
    Column { header: "ACTIVE", field: "Active" },
    Column { header: "SIZE", field: "Size" },
    Column { header: "RECLAIMABLE", field: "Reclaimable" },
];

/// Prints what takes how much room. The four sizes add up to what `du` says of the store.
pub(crate) fn run(args: &DfArgs, store: &Store) -> Outcome {
    let facts =
        Facts { usage: store.usage()?, images: find::all(store)?, containers: container::list(store)? };
    let text = if args.verbose {
        facts.details(store)?
    } else {
        let list = List::parse(args.format.as_deref(), &COLUMNS, &COLUMNS)?;
        list.render(&facts.rows(store)?)?
    };
    ui::print(&text)?;
    Ok(Exit::OK)
}

struct Facts {
    usage: Usage,
    images: Vec<Image>,
    containers: Vec<Listed>,
}

impl Facts {
    fn rows(&self, store: &Store) -> Result<Vec<Value>, Failure> {
        let used: Vec<&Image> =
            self.images.iter().filter(|image| self.containers.iter().any(|c| c.image == image.id)).collect();
        let active: BTreeSet<LayerId> = used.iter().flat_map(|image| image.layers.iter().copied()).collect();
        let of_images = |id: &LayerId| self.usage.layers.get(id).map_or(0, |layer| layer.bytes);
        let all: BTreeSet<LayerId> =
            self.images.iter().flat_map(|image| image.layers.iter().copied()).collect();
        let images = self.usage.images + all.iter().map(of_images).sum::<u64>();
        let idle = all.difference(&active).map(of_images).sum();
        let cache = self.usage.cache();
        let running = self.containers.iter().filter(|c| is_running(c)).count();
        let stopped = self.containers.iter().filter(|c| !is_running(c));
        let stopped = stopped.filter_map(|c| self.usage.containers.get(c.id.as_str())).sum();
        let volumes = &self.usage.volumes;
        let records = store.record_keys()?.len();
        Ok(vec![
            row("Images", self.images.len(), used.len(), images, idle),
            row("Containers", self.containers.len(), running, self.usage.containers.values().sum(), stopped),
            // Nothing of rbuild removes a volume.
            row("Local Volumes", volumes.len(), volumes.len(), volumes.values().sum(), 0),
            row("Build Cache", records, 0, cache + self.usage.temporary + self.usage.rest, cache),
        ])
    }

    fn details(&self, store: &Store) -> Result<String, Failure> {
        let mut text = "Images space usage:\n\n".to_owned();
        let mut names = find::names_by_image(store)?;
        let rows: Vec<Value> = self
            .images
            .iter()
            .map(|image| {
                let name = names.remove(&image.id).unwrap_or_default();
                let name = name.first().map_or_else(|| "<none>".to_owned(), |name| name.familiar());
                let (shared, unique) = self.split(image);
                let containers = self.containers.iter().filter(|c| c.image == image.id).count();
                json!({"Name": name, "ID": find::short_hex(image.id), "Size": human::size(shared + unique),
                       "SharedSize": human::size(shared), "UniqueSize": human::size(unique),
                       "Containers": containers.to_string()})
            })
            .collect();
        text += &table(
            &[
                ("IMAGE", "Name"),
                ("IMAGE ID", "ID"),
                ("SIZE", "Size"),
                ("SHARED SIZE", "SharedSize"),
                ("UNIQUE SIZE", "UniqueSize"),
                ("CONTAINERS", "Containers"),
            ],
            &rows,
        )?;
        text += "\nContainers space usage:\n\n";
        let rows: Vec<Value> = self
            .containers
            .iter()
            .map(|c| {
                let bytes = self.usage.containers.get(c.id.as_str()).copied().unwrap_or(0);
                let status = if is_running(c) { "running" } else { "stopped" };
                json!({"ID": c.id.short(), "Image": c.image_name, "Command": c.command.join(" "),
                       "Size": human::size(bytes), "Status": status, "Names": c.name})
            })
            .collect();
        text += &table(
            &[
                ("CONTAINER ID", "ID"),
                ("IMAGE", "Image"),
                ("COMMAND", "Command"),
                ("SIZE", "Size"),
                ("STATUS", "Status"),
                ("NAMES", "Names"),
            ],
            &rows,
        )?;
        text += "\nLocal Volumes space usage:\n\n";
        text += &table(&[("VOLUME NAME", "Name"), ("SIZE", "Size")], &sizes(&self.usage.volumes))?;
        text += &format!("\nBuild cache usage: {}\n\n", human::size(self.usage.cache()));
        let layers = self.usage.layers.iter().filter(|(_, layer)| layer.images == 0);
        let layers = layers.map(|(id, layer)| (id.to_string()[..12].to_owned(), layer.bytes));
        text += &table(&[("LAYER ID", "Name"), ("SIZE", "Size")], &sizes(&layers.collect()))?;
        Ok(text)
    }

    /// Bytes of layers that other images have too, and of those that none has.
    fn split(&self, image: &Image) -> (u64, u64) {
        let others = self.images.iter().filter(|other| other.id != image.id);
        let others: BTreeSet<LayerId> = others.flat_map(|other| other.layers.iter().copied()).collect();
        let own: BTreeSet<LayerId> = image.layers.iter().copied().collect();
        own.iter().fold((0, 0), |(shared, unique), id| {
            let bytes = self.usage.layers.get(id).map_or(0, |layer| layer.bytes);
            if others.contains(id) { (shared + bytes, unique) } else { (shared, unique + bytes) }
        })
    }
}

fn is_running(container: &Listed) -> bool {
    matches!(container.state, State::Running { .. })
}

fn row(kind: &str, total: usize, active: usize, size: u64, reclaimable: u64) -> Value {
    let percent = (reclaimable * 100).checked_div(size).map(|p| format!(" ({p}%)")).unwrap_or_default();
    json!({
        "Type": kind,
        "TotalCount": total.to_string(),
        "Active": active.to_string(),
        "Size": human::long_size(size),
        "Reclaimable": format!("{}{percent}", human::long_size(reclaimable)),
    })
}

fn sizes(bytes: &std::collections::BTreeMap<String, u64>) -> Vec<Value> {
    bytes.iter().map(|(name, bytes)| json!({"Name": name, "Size": human::size(*bytes)})).collect()
}

fn table(columns: &[(&'static str, &'static str)], rows: &[Value]) -> Result<String, Failure> {
    let columns: Vec<Column> = columns.iter().map(|(header, field)| Column { header, field }).collect();
    Ok(List::parse(None, &columns, &columns)?.render(rows)?)
}
