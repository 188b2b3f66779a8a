//! The record of a build.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use rbuild_image::digest::{ImageId, LayerId, RecordKey};
use rbuild_image::store::{Store, StoreError};
use rbuild_image::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::key::StepKey;
use crate::recipe::Recipe;

/// Builds that are remembered.
const KEPT: usize = 100;
/// Digits of a build's name that are the second in which it began.
const SECONDS: usize = 10;
/// Seconds by which another machine with the same store may be ahead.
const CLOCKS_DIFFER: i64 = 60;

/// Name of a build. Later builds have greater ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildId(String);

impl BuildId {
    /// A name that no other build has.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let now = Timestamp::now();
        let micros = now.nanos / 1000;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:0SECONDS$x}{micros:05x}-{}-{count}", now.secs, std::process::id()))
    }

    /// Stands for the build that made a cache from elsewhere; no build of this store has it.
    pub(crate) fn carried(from: &str) -> Self {
        Self(format!("in {from}"))
    }

    /// As it is printed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BuildId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When the build of that name began, in seconds since 1970.
fn began(id: &str) -> Option<i64> {
    i64::from_str_radix(id.get(..SECONDS)?, 16).ok()
}

/// What a build did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildRecord {
    /// Its name.
    pub id: BuildId,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// The Dockerfile: an absolute path, `-` for standard input, or empty where it is not known.
    pub dockerfile: String,
    /// The image that came out, if one did.
    pub image: Option<ImageId>,
    /// The names it was given.
    pub names: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// In the order of the plan.
    pub steps: Vec<BuildStep>,
    /// What the plan was made of; missing in records of earlier versions.
    #[serde(default)]
    pub recipe: Option<Recipe>,
    /// The layers of folders that were used as bases, by name.
    #[serde(default)]
    pub folders: BTreeMap<String, LayerId>,
    /// Builds of other machines whose caches were imported; only where a step had to run nevertheless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<Self>,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All steps have results.
    Done,
    /// A step failed, or an output.
    Failed,
    /// The user ended it.
    Interrupted,
}

/// Which step: where it stands in its Dockerfile, and what is below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepHead {
    /// Name of the stage, or `stage-N`.
    pub stage: String,
    /// What its programs are for. Builds of earlier versions did not say.
    #[serde(default)]
    pub platform: String,
    /// Its number in the stage, from 1.
    pub ordinal: u32,
    /// As written, continuation lines joined.
    pub instruction: String,
    /// First line in the Dockerfile.
    pub line: u32,
    /// What it started from. Numbers are places in the list of the build's steps.
    pub parent: Parent,
}

/// What became of one step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildStep {
    /// Which one it is.
    #[serde(flatten)]
    pub head: StepHead,
    /// How it ended.
    pub status: Status,
    /// True if it could not come from the cache because nobody was to ask (`--no-cache`).
    pub forced: bool,
    /// Its key; None if it did not come so far.
    pub key: Option<RecordKey>,
    /// What the key is the digest of. Only of steps that ran: that of a hit is in the store.
    pub fields: Option<StepKey>,
    /// Its result.
    pub layer: Option<LayerId>,
    /// How long it took to make the result, now or when it was made, in milliseconds.
    pub millis: u64,
    /// True if its output was kept.
    pub log: bool,
}

/// What a step started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parent {
    /// Nothing.
    Scratch,
    /// An image, by its ID.
    Image(ImageId),
    /// Another step of the build.
    Step(u32),
    /// A folder given with `--build-context`.
    Folder(String),
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was not begun.
    Waiting,
    /// Its result was known.
    Cached,
    /// It was made.
    Ran,
    /// It failed.
    Failed,
    /// It was ended because something else failed, or by the user.
    Cancelled,
}

impl Status {
    /// True if there is a result.
    #[must_use]
    pub fn succeeded(self) -> bool {
        matches!(self, Self::Cached | Self::Ran)
    }
}

impl BuildStep {
    /// Hands what the step wrote to `sink`, in pieces.
    ///
    /// # Errors
    /// The log was pruned or cannot be read, or `sink` does not want any more.
    pub fn replay(&self, store: &Store, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self.key {
            Some(key) if self.log => crate::step::log::replay(&store.log_path(key), sink),
            _ => Ok(()),
        }
    }
}

impl BuildRecord {
    /// The record of that name. None if there is none, or none that this version can read.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(store: &Store, id: &str) -> Result<Option<Self>, StoreError> {
        Ok(store.build(id)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Stores it, and forgets the oldest if there are many, and those of a clock that was set back: until it is as
    /// late again, one of them would be the last.
    pub(crate) fn save(&self, store: &Store) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(self).expect("the record has only strings, numbers and lists");
        store.put_build(self.id.as_str(), &bytes)?;
        let mut ids = store.build_ids()?;
        let latest = Timestamp::now().secs + CLOCKS_DIFFER;
        for impossible in ids.extract_if(.., |id| began(id).is_some_and(|secs| secs > latest)) {
            store.remove_build(&impossible)?;
        }
        for old in &ids[..ids.len().saturating_sub(KEPT)] {
            store.remove_build(old)?;
        }
        Ok(())
    }
}

/// Forgets the builds that began before `before`, but for the last `keep`.
pub(crate) fn forget_builds(store: &Store, before: Timestamp, keep: usize) -> Result<(), StoreError> {
    let ids = store.build_ids()?;
    for id in &ids[..ids.len().saturating_sub(keep)] {
        // A record of another version is as old as its name says it is: it goes with the rest.
        if BuildRecord::load(store, id)?.is_none_or(|build| build.started < before) {
            store.remove_build(id)?;
        }
    }
    Ok(())
}

/// The build that `text` means: `last`, its name or the beginning of it, or an image that it led to.
///
/// # Errors
/// The store cannot be read.
pub fn find(store: &Store, text: &str) -> Result<Option<BuildRecord>, StoreError> {
    let ids = store.build_ids()?;
    let image = store.resolve(text).ok().map(|image| image.id);
    for id in ids.iter().rev() {
        let by_name = text == "last" || (text.len() >= 4 && id.starts_with(text));
        if !by_name && image.is_none() {
            continue;
        }
        let Some(build) = BuildRecord::load(store, id)? else { continue };
        if by_name || build.image == image {
            return Ok(Some(build));
        }
    }
    Ok(None)
}
