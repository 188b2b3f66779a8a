//! Removing a part of the build cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rbuild_image::digest::{LayerId, RecordKey};
use rbuild_image::store::{MERGED, PruneRequest, Store};
use rbuild_image::time::Timestamp;

use super::order::first_to_go;
use super::{Budget, Disk, Item, Kind, RoomError, Survey};
use crate::cache_mount::{self, CacheError};
use crate::explain::forget_builds;
use crate::key::StepRecord;

/// Blobs of a pull or load that is under way have no layer yet for a moment.
const MIN_AGE: Duration = Duration::from_secs(10);
/// So often is measured again: what is shared by hard links is freed only when all that share it are gone.
const ROUNDS: u32 = 3;

/// What may go.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The results of steps that images have, too, and the history of builds.
    pub all: bool,
    /// Only what was not used since.
    pub unused_since: Option<Timestamp>,
    /// Only of these kinds, if there are any.
    pub kinds: Vec<Kind>,
    /// Only those whose ids begin so, if there are any.
    pub ids: Vec<String>,
    /// No more than needed for this; without it, everything that may.
    pub budget: Option<Budget>,
    /// Logs of steps that failed stay until they are that old.
    pub min_log_age: Duration,
}

/// What went.
#[derive(Debug, Default)]
pub struct Collected {
    /// In the order in which they went.
    pub items: Vec<Item>,
    /// Bytes of the disk that are free now.
    pub bytes: u64,
}

/// Removes what `wish` says, and with it every layer that nothing needs any more.
///
/// # Errors
/// Something cannot be read or removed. What was removed until then stays removed.
pub fn collect(store: &Store, wish: &Wish) -> Result<Collected, RoomError> {
    let mut survey = Survey::of(store)?;
    let before = survey.usage.total();
    let mut collected = Collected::default();
    for _ in 0..ROUNDS {
        let goal = match &wish.budget {
            Some(budget) => budget.keep(survey.cache_bytes(), Disk::of(store.path())?),
            None => 0,
        };
        let chosen = choose(&survey, wish, goal);
        let gone = remove(store, wish, chosen)?;
        let is_done = gone.is_empty() || wish.budget.is_none();
        collected.items.extend(gone);
        survey = Survey::of(store)?;
        if is_done {
            break;
        }
    }
    if wish.all && wish.budget.is_none() {
        forget_builds(store, wish.unused_since.unwrap_or_else(Timestamp::now), 0)?;
    }
    collected.bytes = before.saturating_sub(store.usage()?.total());
    Ok(collected)
}

/// The layer that a step's record leads to.
#[must_use]
pub fn layer_of_record(bytes: &[u8]) -> Option<LayerId> {
    serde_json::from_slice::<StepRecord>(bytes).ok().map(|record| record.layer)
}

/// As many of the items that may go as it takes to come down to `goal`.
pub(super) fn choose(survey: &Survey, wish: &Wish, goal: u64) -> Vec<Item> {
    let may_go: Vec<Item> = survey.items.iter().filter(|item| wish.allows(item)).cloned().collect();
    let mut used = survey.cache_bytes();
    // A layer that several records lead to goes with the last of them.
    let mut records: BTreeMap<LayerId, (u32, u64)> = BTreeMap::new();
    for item in &survey.items {
        if let Some(layer) = item.layer {
            let bytes =
                survey.usage.layers.get(&layer).filter(|layer| layer.images == 0).map_or(0, |l| l.bytes);
            let known = records.entry(layer).or_insert((0, bytes));
            known.0 += 1;
        }
    }
    let mut chosen = Vec::new();
    for index in first_to_go(&may_go, Timestamp::now()) {
        if used <= goal && wish.budget.is_some() {
            break;
        }
        let item = &may_go[index];
        let freed = match item.layer.and_then(|layer| records.get_mut(&layer)) {
            Some((left, bytes)) => {
                *left -= 1;
                if *left == 0 { *bytes } else { 0 }
            }
            None => item.bytes,
        };
        used = used.saturating_sub(freed);
        chosen.push(item.clone());
    }
    chosen
}

impl Wish {
    fn allows(&self, item: &Item) -> bool {
        let of_an_image = item.needed_by.iter().any(|by| by.starts_with("image "));
        !item.in_use
            && (self.all || !of_an_image)
            && self.unused_since.is_none_or(|since| item.last_used < since)
            && (self.kinds.is_empty() || self.kinds.contains(&item.kind))
            && (self.ids.is_empty() || self.ids.iter().any(|id| item.id.starts_with(id)))
    }
}

/// Removes items, and returns those that are gone.
fn remove(store: &Store, wish: &Wish, chosen: Vec<Item>) -> Result<Vec<Item>, RoomError> {
    let mut gone = Vec::new();
    let mut records: BTreeSet<RecordKey> = BTreeSet::new();
    for item in chosen {
        let is_gone = match item.kind {
            Kind::Regular => item.id.parse().is_ok_and(|key| records.insert(key)),
            Kind::CacheMount => remove_cache(store, &item.id)?,
            Kind::Git => remove_repository(store, &item.id)?,
            Kind::Http => discard(store, &store.path().join("http").join(&item.id))?,
            Kind::Failed => store.remove_failed_steps(&|name, _| name == item.id)?.0 > 0,
            // Store::prune does it.
            Kind::Internal if item.id == MERGED => true,
            Kind::Internal => discard(store, &store.path().join("latest").join(&item.id))?,
        };
        if is_gone {
            gone.push(item);
        }
    }
    store.prune(&PruneRequest {
        forget: &|key| records.contains(&key),
        nameless: &|_| false,
        min_age: MIN_AGE,
        min_log_age: wish.min_log_age,
        layer_of_record: &layer_of_record,
    })?;
    Ok(gone)
}

fn remove_cache(store: &Store, name: &str) -> Result<bool, RoomError> {
    let found = cache_mount::list(store)?.into_iter().find(|cache| cache.name == name);
    match found.map(|cache| cache_mount::remove(store, &cache)) {
        Some(Ok(())) => Ok(true),
        None | Some(Err(CacheError::InUse { .. })) => Ok(false),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Unless somebody fetches into it or reads its checkouts.
fn remove_repository(store: &Store, name: &str) -> Result<bool, RoomError> {
    let path = store.path().join("git").join(name);
    let mut held = Vec::new();
    for lock in ["lock", "in-use"] {
        let lock = path.join(lock);
        match File::open(&lock) {
            Ok(file) if file.try_lock().is_ok() => held.push(file),
            Ok(_) => return Ok(false),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(RoomError::io("open", &lock)(cause)),
        }
    }
    discard(store, &path)
}

/// Away in one step; who has it open keeps what it has.
fn discard(store: &Store, path: &Path) -> Result<bool, RoomError> {
    let trash = store.temp()?;
    match fs::rename(path, trash.path().join("trash")) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(RoomError::io("remove", path)(cause)),
    }
}
