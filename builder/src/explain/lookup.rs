//! From a build to the reasons of its hits and misses.

use std::collections::{BTreeMap, HashSet};

use rbuild_image::digest::RecordKey;
use rbuild_image::store::{Store, StoreError};
use rbuild_image::time::Timestamp;
use serde::Serialize;

use super::change::{Change, Culprit};
use super::compare::{self, Keyed, compare};
use super::culprit::culprit;
use super::record::{BuildId, BuildRecord, BuildStep, Outcome, Status};
use crate::carry::whereabouts;
use crate::key::{StepKey, StepRecord};

/// Why it cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A build, explained.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// Which.
    pub build: BuildId,
    /// Its Dockerfile.
    pub dockerfile: String,
    /// When it began.
    pub started: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// In the order of the plan.
    pub steps: Vec<StepReport>,
}

/// A step, explained.
#[derive(Debug, Serialize)]
pub struct StepReport {
    /// Its number in the build, from 1.
    pub step: usize,
    /// Name of the stage.
    pub stage: String,
    /// What its programs are for; empty where that was not recorded.
    pub platform: String,
    /// As written.
    pub instruction: String,
    /// Its line.
    pub line: u32,
    /// How it ended.
    pub status: Status,
    /// How long its result took to make, in milliseconds.
    pub millis: u64,
    /// The cache from elsewhere that has its files: nothing needed them here yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// Why.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Why a step hit or missed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Verdict {
    /// Everything was as before.
    Same,
    /// Something was not as the last time.
    Changed {
        /// The last build that had a result of this step.
        since: BuildId,
        /// Its Dockerfile, if that was another one.
        #[serde(skip_serializing_if = "Option::is_none")]
        dockerfile: Option<String>,
        /// What.
        changes: Vec<Change>,
    },
    /// Nobody built this step before.
    New {
        /// The most similar step in the store.
        nearest: Option<Nearest>,
    },
    /// The cache was not to be asked.
    NoCache,
    /// Everything was as before, but the result is not in the store any more.
    Lost {
        /// The last build that had it.
        since: BuildId,
    },
    /// It did not come so far that its key was known.
    NotReached,
}

/// A step that is not the same, but nearly.
#[derive(Debug, Serialize)]
pub struct Nearest {
    /// As written, if the build that had it is still known.
    pub instruction: Option<String>,
    /// What differs.
    pub changes: Vec<Change>,
}

/// Explains every step of a build.
///
/// # Errors
/// The store cannot be read.
pub fn explain(store: &Store, build: &BuildRecord) -> Result<Explained, ExplainError> {
    let mut earlier = Vec::new();
    // Only misses need them.
    if build.steps.iter().any(|step| step.fields.is_some()) {
        for id in store.build_ids()?.iter().rev().filter(|id| id.as_str() < build.id.as_str()) {
            earlier.extend(BuildRecord::load(store, id)?);
        }
        earlier.extend(build.carried.iter().cloned());
        earlier.sort_by_key(|build| std::cmp::Reverse((build.started.secs, build.started.nanos)));
    }
    let (same, others): (Vec<_>, Vec<_>) = earlier.into_iter().partition(|then| is_of_same_file(then, build));
    let alike = others.iter().map(|then| is_alike(then, build)).collect();
    let lookup = Lookup { store, build, same, others, alike };
    let mut steps = Vec::with_capacity(build.steps.len());
    for (index, step) in build.steps.iter().enumerate() {
        steps.push(StepReport {
            step: index + 1,
            stage: step.head.stage.clone(),
            platform: step.head.platform.clone(),
            instruction: step.head.instruction.clone(),
            line: step.head.line,
            status: step.status,
            millis: step.millis,
            elsewhere: step.layer.and_then(|layer| whereabouts(store, layer)),
            verdict: lookup.verdict(index, step)?,
        });
    }
    let (dockerfile, started, outcome) = (build.dockerfile.clone(), build.started, build.outcome);
    Ok(Explained { build: build.id.clone(), dockerfile, started, outcome, steps })
}

/// Builds from elsewhere were of the same Dockerfile, wherever it lay.
fn is_of_same_file(then: &BuildRecord, now: &BuildRecord) -> bool {
    then.dockerfile.is_empty() || then.dockerfile == now.dockerfile
}

/// Whether at least half of the steps of either are steps of the other: the same project in another checkout.
fn is_alike(then: &BuildRecord, now: &BuildRecord) -> bool {
    let texts = |build: &'_ BuildRecord| -> HashSet<String> {
        build.steps.iter().map(|step| step.head.instruction.clone()).collect()
    };
    let (then, now) = (texts(then), texts(now));
    2 * then.intersection(&now).count() >= then.len().max(now.len())
}

struct Lookup<'a> {
    store: &'a Store,
    build: &'a BuildRecord,
    /// Builds of the same Dockerfile, the latest first.
    same: Vec<BuildRecord>,
    /// Those of others.
    others: Vec<BuildRecord>,
    /// Which of the others are so much alike that the steps are the same ones.
    alike: Vec<bool>,
}

impl Lookup<'_> {
    fn verdict(&self, index: usize, step: &BuildStep) -> Result<Verdict, ExplainError> {
        if step.status == Status::Cached {
            return Ok(Verdict::Same);
        }
        let (Some(digest), Some(fields)) = (step.key, &step.fields) else { return Ok(Verdict::NotReached) };
        if step.forced {
            return Ok(Verdict::NoCache);
        }
        if let Some((build, _)) = self.find(|_, then| then.key == Some(digest)) {
            return Ok(Verdict::Lost { since: build.id.clone() });
        }
        let now = Keyed { digest, key: fields.clone() };
        let alike = self.others.iter().zip(&self.alike).filter(|(_, alike)| **alike).map(|(build, _)| build);
        let there = |build: &BuildRecord| self.counterpart(build, step);
        if let Some((build, at)) = self.same.iter().chain(alike).find_map(|it| Some((it, there(it)?)))
            && let Some(then) = self.keyed(&build.steps[at])?
        {
            let mut changes = compare(self.store, &then, &now);
            for change in &mut changes {
                if let Change::Parent { because: because @ Culprit::Unknown } = change {
                    *because = culprit((build, at), (self.build, index));
                }
            }
            let dockerfile = Some(build.dockerfile.clone()).filter(|_| !is_of_same_file(build, self.build));
            return Ok(Verdict::Changed { since: build.id.clone(), dockerfile, changes });
        }
        Ok(Verdict::New { nearest: self.nearest(&now)? })
    }

    /// The step of an earlier build that this one was then: of the same stage, with the same text, else in the same
    /// place. A step in its place whose text is still there is another step: something was put before it.
    fn counterpart(&self, build: &BuildRecord, step: &BuildStep) -> Option<usize> {
        let stage = self.stage_then(build, &step.head.stage)?;
        let is_it = |then: &BuildStep| then.status.succeeded() && then.head.stage == stage;
        let with_text = |then: &BuildStep| is_it(then) && then.head.instruction == step.head.instruction;
        let in_place = |then: &BuildStep| is_it(then) && then.head.ordinal == step.head.ordinal;
        let kind = |step: &BuildStep| step.head.instruction.split_whitespace().next().map(str::to_owned);
        let still_there = |then: &BuildStep| {
            self.build
                .steps
                .iter()
                .any(|it| it.head.stage == step.head.stage && it.head.instruction == then.head.instruction)
        };
        let steps = &build.steps;
        // The step for another platform only where there is none for this one.
        let first = |test: &dyn Fn(&BuildStep) -> bool| {
            let here = steps.iter().position(|then| then.head.platform == step.head.platform && test(then));
            here.or_else(|| steps.iter().position(test))
        };
        first(&|then| with_text(then) && in_place(then))
            .or_else(|| first(&with_text))
            .or_else(|| first(&|then| in_place(then) && kind(then) == kind(step) && !still_there(then)))
    }

    /// What a stage was called in an earlier build. One that was renamed is the one that is not there any more and
    /// shares the most steps with it.
    fn stage_then<'b>(&self, build: &'b BuildRecord, stage: &'b str) -> Option<&'b str> {
        let has = |build: &BuildRecord, stage: &str| build.steps.iter().any(|step| step.head.stage == stage);
        if has(build, stage) {
            return Some(stage);
        }
        let ours = self.build.steps.iter().filter(|step| step.head.stage == stage);
        let ours: HashSet<&str> = ours.map(|step| &*step.head.instruction).collect();
        let mut shared: BTreeMap<&str, usize> = BTreeMap::new();
        for step in &build.steps {
            let head = &step.head;
            if ours.contains(&*head.instruction) && !has(self.build, &head.stage) {
                *shared.entry(&head.stage).or_default() += 1;
            }
        }
        shared.into_iter().max_by_key(|(_, steps)| *steps).map(|(stage, _)| stage)
    }

    /// The latest step of an earlier build with a result.
    fn find(&self, is_it: impl Fn(&BuildRecord, &BuildStep) -> bool) -> Option<(&BuildRecord, usize)> {
        let mut all: Vec<&BuildRecord> = self.same.iter().chain(&self.others).collect();
        all.sort_by_key(|build| std::cmp::Reverse((build.started.secs, build.started.nanos)));
        all.into_iter().find_map(|build| {
            let at = build.steps.iter().position(|step| step.status.succeeded() && is_it(build, step))?;
            Some((build, at))
        })
    }

    /// The key of a step of an earlier build: from the store, or from a build in which it ran.
    fn keyed(&self, step: &BuildStep) -> Result<Option<Keyed>, ExplainError> {
        let Some(digest) = step.key else { return Ok(None) };
        let key = match &step.fields {
            Some(key) => Some(key.clone()),
            None => match stored_key(self.store, digest)? {
                Some(key) => Some(key),
                None => self
                    .find(|_, then| then.key == Some(digest) && then.fields.is_some())
                    .and_then(|(build, at)| build.steps[at].fields.clone()),
            },
        };
        Ok(key.map(|key| Keyed { digest, key }))
    }

    /// The record in the store with the fewest differences, of the same kind. Not one of this build: that its steps
    /// differ from each other is no news.
    fn nearest(&self, now: &Keyed) -> Result<Option<Nearest>, ExplainError> {
        let mut best: Option<(RecordKey, Vec<Change>)> = None;
        let ran_now = |digest| {
            self.build.steps.iter().any(|step| step.key == Some(digest) && step.status == Status::Ran)
        };
        for digest in self.store.record_keys()? {
            if digest == now.digest || ran_now(digest) {
                continue;
            }
            let Some(key) = stored_key(self.store, digest)? else { continue };
            if compare::kind(&key.kind) != compare::kind(&now.key.kind) {
                continue;
            }
            let changes = compare(self.store, &Keyed { digest, key }, now);
            let is_near = compare::resemble(&changes);
            if is_near && best.as_ref().is_none_or(|(_, fewest)| changes.len() < fewest.len()) {
                best = Some((digest, changes));
            }
        }
        Ok(best.map(|(digest, changes)| {
            let known = self.find(|_, step| step.key == Some(digest));
            let here = self.build.steps.iter().find(|step| step.key == Some(digest));
            let step = known.map(|(build, at)| &build.steps[at]).or(here);
            Nearest { instruction: step.map(|step| step.head.instruction.clone()), changes }
        }))
    }
}

fn stored_key(store: &Store, digest: RecordKey) -> Result<Option<StepKey>, ExplainError> {
    let bytes = store.peek_record(digest)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice::<StepRecord>(&bytes).ok()).map(|record| record.key))
}
