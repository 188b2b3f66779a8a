//! Keeping the cache within its budget without being asked.
//!
//! The file `room` of the store is an estimate of the cache's size: what was measured last and when, and a line for
//! each process that added something since. A build that added nothing does not even read it. Measuring happens when
//! the estimate has passed the budget, and once a day, because old logs expire then, too.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::time::Duration;

use rbuild_image::digest::{ImageId, LayerId};
use rbuild_image::store::{PruneRequest, Store};
use rbuild_image::time::Timestamp;

use super::{Budget, Collected, Disk, Kind, RoomError, Survey, Wish, collect, layer_of_record};
use crate::explain::forget_builds;

const DAY: i64 = 24 * 3600;
/// Where even a collection did not come down to the budget, the next one waits for that part of it to be added.
const STEP: u64 = 20;
/// Logs of failed steps are kept for so long.
const LOG_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Images without a name are kept for so long at least: somebody may have noted the ID.
const NAMELESS_AGE: Duration = Duration::from_secs(24 * 3600);
/// Builds are remembered for so long, and the last few for ever.
const BUILD_AGE: i64 = 30 * DAY;
const LAST_BUILDS: usize = 10;

/// What is known without looking.
#[derive(Debug, Default, PartialEq, Eq)]
struct Estimate {
    /// When it was measured, in seconds since 1970; None if never.
    measured: Option<i64>,
    /// What was measured.
    bytes: u64,
    /// What was added since.
    added: u64,
}

/// What is removed without being asked. Several are followed one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Only of these kinds, if there are any.
    pub kinds: Vec<Kind>,
    /// Only what was not used for so long.
    pub unused_for: Option<Duration>,
    /// No more than needed for this; without it, everything that may.
    pub budget: Option<Budget>,
}

impl Rule {
    /// Of everything, as much as is needed for a budget.
    #[must_use]
    pub fn within(budget: Budget) -> Self {
        Self { kinds: Vec::new(), unused_for: None, budget: Some(budget) }
    }

    fn wish(&self, now: i64) -> Wish {
        let since = |age: Duration| Timestamp::new(now.saturating_sub_unsigned(age.as_secs()), 0);
        Wish {
            kinds: self.kinds.clone(),
            unused_since: self.unused_for.map(since),
            budget: self.budget,
            min_log_age: LOG_AGE,
            ..Wish::default()
        }
    }

    /// Whether a cache of so many bytes may have something that is to go.
    fn applies(&self, used: u64, disk: Disk) -> bool {
        self.budget.is_none_or(|budget| used > budget.keep(used, disk))
    }
}

/// Removes what the rules say, if this process added to the store and one of them may want it. None when there was
/// nothing to do.
///
/// # Errors
/// As [`collect()`].
pub fn after_build(store: &Store, rules: &[Rule]) -> Result<Option<Collected>, RoomError> {
    let added = store.added();
    if added == 0 || rules.is_empty() {
        return Ok(None);
    }
    note(store, &format!("+{added}\n"))?;
    let (estimate, now) = (read(store)?, Timestamp::now().secs);
    let disk = Disk::of(store.path())?;
    if !rules.iter().any(|rule| is_due(&estimate, rule, disk, now)) {
        return Ok(None);
    }
    // Somebody else is at it already.
    let Some(_lock) = lock(store)? else { return Ok(None) };
    forget_builds(store, Timestamp::new(now - BUILD_AGE, 0), LAST_BUILDS)?;
    let Measured { total: before, cache: used } = measure(store)?;
    if !rules.iter().any(|rule| rule.applies(used, disk)) {
        write(store, &format!("={used} {now}\n"))?;
        return Ok(None);
    }
    forget_nameless(store)?;
    let mut items = Vec::new();
    for rule in rules {
        items.extend(collect(store, &rule.wish(now))?.items);
    }
    let after = measure(store)?;
    write(store, &format!("={} {now}\n", after.cache))?;
    let bytes = before.saturating_sub(after.total);
    Ok((!items.is_empty() || bytes > 0).then_some(Collected { items, bytes }))
}

/// Bytes on the disk. To find them out, every file of the store is looked at.
struct Measured {
    /// Of everything.
    total: u64,
    /// Of what no image with a name needs: images whose names went to younger ones count as cache.
    cache: u64,
}

fn measure(store: &Store) -> Result<Measured, RoomError> {
    let survey = Survey::of(store)?;
    let mut named: BTreeSet<ImageId> = BTreeSet::new();
    for (_, meaning) in store.names()? {
        named.extend(store.images_of(meaning)?);
    }
    let kept: BTreeSet<LayerId> = survey
        .usage
        .image_layers
        .iter()
        .filter(|(image, _)| named.contains(image))
        .flat_map(|(_, layers)| layers.iter().copied())
        .collect();
    let nameless = survey.usage.layers.iter().filter(|(id, layer)| layer.images > 0 && !kept.contains(id));
    let cache = survey.cache_bytes() + nameless.map(|(_, layer)| layer.bytes).sum::<u64>();
    Ok(Measured { total: survey.usage.total(), cache })
}

/// Removes images that have no name, are not of today, and that nobody uses.
fn forget_nameless(store: &Store) -> Result<(), RoomError> {
    let in_use = store.layers_in_use()?;
    store.prune(&PruneRequest {
        forget: &|_| false,
        nameless: &|image| !image.layers.iter().all(|layer| in_use.contains_key(layer)),
        min_age: NAMELESS_AGE,
        min_log_age: LOG_AGE,
        layer_of_record: &layer_of_record,
    })?;
    Ok(())
}

fn is_due(estimate: &Estimate, rule: &Rule, disk: Disk, now: i64) -> bool {
    let used = estimate.bytes + estimate.added;
    // Without a limit, age alone counts: once a day is enough.
    let keep = rule.budget.map_or(u64::MAX, |budget| budget.keep(used, disk));
    let Some(measured) = estimate.measured else {
        // A store that was never measured is new, or of an earlier version.
        return used > keep || estimate.added > keep / STEP || keep == u64::MAX;
    };
    now - measured > DAY || (used > keep && (estimate.bytes <= keep || estimate.added > keep / STEP))
}

fn read(store: &Store) -> Result<Estimate, RoomError> {
    let path = store.path().join("room");
    let text = fs::read_to_string(&path).map_err(RoomError::io("read", &path))?;
    Ok(parse(&text))
}

/// A line that was cut off says nothing.
fn parse(text: &str) -> Estimate {
    let mut estimate = Estimate::default();
    for line in text.lines() {
        if let Some(added) = line.strip_prefix('+').and_then(|added| added.parse::<u64>().ok()) {
            estimate.added = estimate.added.saturating_add(added);
        } else if let Some((bytes, measured)) = line.strip_prefix('=').and_then(|line| line.split_once(' ')) {
            estimate.bytes = bytes.parse().unwrap_or_default();
            estimate.measured = measured.parse().ok();
        }
    }
    estimate
}

fn note(store: &Store, line: &str) -> Result<(), RoomError> {
    let path = store.path().join("room");
    let file = OpenOptions::new().append(true).create(true).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(RoomError::io("write", &path))
}

fn write(store: &Store, line: &str) -> Result<(), RoomError> {
    Ok(store.write_small("room", line.as_bytes())?)
}

fn lock(store: &Store) -> Result<Option<File>, RoomError> {
    let path = store.path().join("room.lock");
    let file = File::create(&path).map_err(RoomError::io("create", &path))?;
    Ok(file.try_lock().is_ok().then_some(file))
}

#[cfg(test)]
mod tests {
    use super::super::Space;
    use super::*;

    const DISK: Disk = Disk { total: 1000, free: 500 };

    #[test]
    fn measuring_is_due_when_the_budget_may_be_passed_and_once_a_day() {
        let budget = Budget { reserved: None, max_used: Some(Space::Bytes(100)), min_free: None };
        let now = 100 * DAY;
        for (text, want) in [
            ("+10\n", true),
            ("+4\n", false),
            ("+101\n", true),
            ("=90 8640000\n+5\n", false),
            ("=90 8640000\n+5\n+6\n", true),
            ("=90 8640000\n+5\n+6", true),
            // It could not come down: only when a twentieth was added is another try worth it.
            ("=150 8640000\n+5\n", false),
            ("=150 8640000\n+6\n", true),
            ("=10 8500000\n+1\n", true),
        ] {
            assert_eq!(is_due(&parse(text), &Rule::within(budget), DISK, now), want, "{text:?}");
        }
    }
}
