//! `rbuild system df`.

mod details;

use std::collections::BTreeSet;

use rbuild_builder::room::Survey;
use rbuild_image::digest::LayerId;
use rbuild_image::store::{Image, Store};
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
    let mut images = find::all(store)?;
    // What a lower store has takes no room in this one.
    images.retain(|image| store.is_below(image.id).is_ok_and(|below| !below));
    let facts = Facts { survey: Survey::of(store)?, images, containers: container::list(store)? };
    let text = match (args.verbose, args.format.as_deref()) {
        (false, format) => List::parse(format, &COLUMNS, &COLUMNS)?.render(&facts.rows())?,
        (true, Some("json" | "{{json .}}")) => format!("{}\n", details::json(&facts, store)?),
        (true, None) => details::text(&facts, store)?,
        (true, Some(_)) => return Err(Failure::usage("--verbose goes with --format json only")),
    };
    ui::print(&text)?;
    Ok(Exit::OK)
}

struct Facts {
    survey: Survey,
    images: Vec<Image>,
    containers: Vec<Listed>,
}

impl Facts {
    fn rows(&self) -> Vec<Value> {
        let usage = &self.survey.usage;
        let used: Vec<&Image> =
            self.images.iter().filter(|image| self.containers.iter().any(|c| c.image == image.id)).collect();
        let active: BTreeSet<LayerId> = used.iter().flat_map(|image| image.layers.iter().copied()).collect();
        let of_layer = |id: &LayerId| usage.layers.get(id).map_or(0, |layer| layer.bytes);
        let all: BTreeSet<LayerId> =
            self.images.iter().flat_map(|image| image.layers.iter().copied()).collect();
        let images = usage.images + all.iter().map(of_layer).sum::<u64>();
        let idle = all.difference(&active).map(of_layer).sum();
        let running = self.containers.iter().filter(|c| is_running(c)).count();
        let stopped = self.containers.iter().filter(|c| !is_running(c));
        let stopped = stopped.filter_map(|c| usage.containers.get(c.id.as_str())).sum();
        let volumes = &usage.volumes;
        let cache = self.survey.cache_bytes() + usage.temporary + usage.rest;
        let items = &self.survey.items;
        let free = items.iter().filter(|item| item.needed_by.is_empty()).map(|item| item.bytes).sum::<u64>();
        let in_use = items.iter().filter(|item| item.in_use).count();
        vec![
            row("Images", self.images.len(), used.len(), images, idle),
            row("Containers", self.containers.len(), running, usage.containers.values().sum(), stopped),
            // Nothing of rbuild removes a volume.
            row("Local Volumes", volumes.len(), volumes.len(), volumes.values().sum(), 0),
            row("Build Cache", items.len(), in_use, cache, free.min(cache)),
        ]
    }

    /// Bytes of layers that other images have too, and of those that none has.
    fn split(&self, image: &Image) -> (u64, u64) {
        let others = self.images.iter().filter(|other| other.id != image.id);
        let others: BTreeSet<LayerId> = others.flat_map(|other| other.layers.iter().copied()).collect();
        let own: BTreeSet<LayerId> = image.layers.iter().copied().collect();
        own.iter().fold((0, 0), |(shared, unique), id| {
            let bytes = self.survey.usage.layers.get(id).map_or(0, |layer| layer.bytes);
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
