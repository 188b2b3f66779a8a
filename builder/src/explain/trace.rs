//! What the steps of a build under way tell about themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rbuild_image::digest::{ImageId, LayerId, RecordKey};
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;
use rbuild_parser::plan::{Root, Step, StepId};

use super::record::{BuildId, BuildRecord, BuildStep, Outcome, Parent, Status, StepHead};
use crate::key::{StepKey, StepRecord};
use crate::recipe::Recipe;

/// Collects what becomes of the steps.
#[derive(Debug)]
pub(crate) struct Trace {
    started: (Timestamp, Instant),
    steps: Mutex<Vec<BuildStep>>,
    folders: Mutex<BTreeMap<String, LayerId>>,
}

impl Trace {
    /// `base` says which image a plan's number stands for.
    pub(crate) fn new(steps: &[Step], base: impl Fn(u32) -> ImageId) -> Self {
        let steps = steps.iter().map(|step| waiting(step, &base)).collect();
        Self {
            started: (Timestamp::now(), Instant::now()),
            steps: Mutex::new(steps),
            folders: Mutex::default(),
        }
    }

    fn change(&self, step: StepId, change: impl FnOnce(&mut BuildStep)) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut steps[step.0 as usize]);
    }

    /// The key is known.
    pub(crate) fn keyed(&self, step: StepId, digest: RecordKey) {
        self.change(step, |it| it.key = Some(digest));
    }

    /// The result was known already.
    pub(crate) fn hit(&self, step: StepId, record: &StepRecord) {
        self.change(step, |it| {
            it.status = Status::Cached;
            it.result(record);
        });
    }

    /// It has to be made.
    pub(crate) fn missed(&self, step: StepId, key: &StepKey, forced: bool) {
        self.change(step, |it| (it.fields, it.forced) = (Some(key.clone()), forced));
    }

    /// It was made.
    pub(crate) fn ran(&self, step: StepId, record: &StepRecord) {
        self.change(step, |it| {
            it.status = Status::Ran;
            it.result(record);
        });
    }

    /// It has no result.
    pub(crate) fn failed(&self, step: StepId, cancelled: bool, log: bool) {
        let status = if cancelled { Status::Cancelled } else { Status::Failed };
        self.change(step, |it| (it.status, it.log) = (status, it.log || log));
    }

    /// It has no result, and nobody has said so yet: true if that is news.
    pub(crate) fn failed_early(&self, step: StepId) -> bool {
        let mut is_news = false;
        self.change(step, |it| {
            is_news = it.status == Status::Waiting;
            it.status = Status::Failed;
        });
        is_news
    }

    /// What is known of the steps so far.
    pub(crate) fn steps(&self) -> Vec<BuildStep> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A folder became a layer to build on.
    pub(crate) fn folder(&self, name: &str, layer: LayerId) {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), layer);
    }

    /// Stores the record of the build, with the builds from elsewhere that `carried` knows if they explain anything.
    /// That it cannot be stored is no reason for a build to fail: it only cannot be explained.
    pub(crate) fn save(&self, store: &Store, end: End<'_>, carried: impl FnOnce() -> Vec<BuildRecord>) {
        let steps = self.steps();
        let is_miss = |step: &BuildStep| step.fields.is_some() && !step.forced;
        let carried = if steps.iter().any(is_miss) { carried() } else { Vec::new() };
        let record = BuildRecord {
            id: end.id.clone(),
            started: self.started.0,
            millis: u64::try_from(self.started.1.elapsed().as_millis()).unwrap_or(u64::MAX),
            dockerfile: end.dockerfile,
            image: end.image,
            names: end.names,
            outcome: end.outcome,
            steps,
            recipe: Some(end.recipe),
            folders: self.folders.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            carried,
        };
        let _ = record.save(store);
    }
}

/// How a build ended, and what it was.
#[derive(Debug)]
pub(crate) struct End<'a> {
    pub(crate) id: &'a BuildId,
    pub(crate) dockerfile: String,
    pub(crate) recipe: Recipe,
    pub(crate) outcome: Outcome,
    pub(crate) image: Option<ImageId>,
    pub(crate) names: Vec<String>,
}

/// How a record names the Dockerfile at `path`; without one it came on standard input, or in an archive.
pub(crate) fn dockerfile(path: Option<&Path>) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.map_or_else(|| "-".into(), |path| absolute(path).display().to_string())
}

impl BuildStep {
    fn result(&mut self, record: &StepRecord) {
        (self.layer, self.millis, self.log) = (Some(record.layer), record.millis, record.log);
    }
}

fn waiting(step: &Step, base: impl Fn(u32) -> ImageId) -> BuildStep {
    let parent = match &step.parent {
        Root::Scratch | Root::MainContext => Parent::Scratch,
        Root::Base(id) => Parent::Image(base(id.0)),
        Root::Step(id) => Parent::Step(id.0),
        Root::NamedContext(name) => Parent::Folder(name.clone()),
    };
    BuildStep {
        head: StepHead {
            stage: step.stage.clone(),
            platform: step.platform.clone(),
            ordinal: step.position.0,
            instruction: step.text.clone(),
            line: step.lines.first,
            parent,
        },
        status: Status::Waiting,
        forced: false,
        key: None,
        fields: None,
        layer: None,
        millis: 0,
        log: false,
    }
}
