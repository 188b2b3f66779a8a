//! A layer that is being made: a temporary folder of the store.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use rbuild_image::layer::{Author, Known, View, normalize};
use rbuild_image::store::TempDir;

use super::StepFailure;
use crate::chain::Chain;
use crate::session::Session;

/// `fs/` in the folder takes the layer's files; everything else in it vanishes with it.
#[derive(Debug)]
pub(crate) struct Making<'a> {
    temp: TempDir,
    upper: OwnedFd,
    pub(crate) parent: &'a Chain,
    known: OnceLock<Known>,
    stack: OnceLock<Vec<PathBuf>>,
}

impl<'a> Making<'a> {
    pub(crate) fn new(session: &Session<'_>, parent: &'a Chain) -> Result<Self, StepFailure> {
        let temp = session.store.temp().map_err(StepFailure::store)?;
        let upper = temp.make_dir("fs", 0o755).map_err(StepFailure::store)?;
        Ok(Self { temp, upper, parent, known: OnceLock::new(), stack: OnceLock::new() })
    }

    /// The folder that becomes the layer.
    pub(crate) fn upper_path(&self) -> PathBuf {
        self.temp.path().join("fs")
    }

    /// The same, open.
    pub(crate) fn upper(&self) -> &OwnedFd {
        &self.upper
    }

    /// Makes a folder beside it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, StepFailure> {
        self.temp.make_dir(name, 0o755).map_err(StepFailure::store)?;
        Ok(self.temp.path().join(name))
    }

    /// Where the step's output is kept until the step has succeeded.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.temp.path().join("log.zst")
    }

    /// The folders that an overlay shows the parent with, the uppermost first.
    pub(crate) fn stack(&self, session: &Session<'_>) -> Result<&[PathBuf], StepFailure> {
        if let Some(stack) = self.stack.get() {
            return Ok(stack);
        }
        let stack = session.stack(self.parent)?;
        Ok(self.stack.get_or_init(|| stack))
    }

    /// The files of the parent, from folders that may stand for several layers: of use where it makes no difference
    /// which layer has a file, and which other names the file has.
    pub(crate) fn below(&self, session: &Session<'_>) -> Result<View, StepFailure> {
        let open = |path: &PathBuf| std::fs::File::open(path).map(OwnedFd::from);
        let lowers = self.stack(session)?.iter().map(open).collect::<Result<_, _>>();
        let lowers = lowers.map_err(|cause| StepFailure::io("open the layers below the step", &cause))?;
        Ok(View::new(lowers, session.store.flavour()))
    }

    /// Leaves in the folder what has really changed (spec 8.2).
    pub(crate) fn normalize(&self, session: &Session<'_>, author: Author) -> Result<bool, StepFailure> {
        let lower = self.below(session)?;
        normalize(self.upper.as_fd(), &lower, session.store.flavour(), author)
            .map_err(|cause| StepFailure::new(format!("failed to find what the step changed: {cause}")))
    }

    /// Takes note of what is in files that are links to those of other layers.
    pub(crate) fn knows(&self, known: Known) {
        // Who fills the folder says it once; should it be said again, those files are read.
        let _ = self.known.set(known);
    }

    /// The folder, ready to be published, and what need not be read of it.
    pub(crate) fn into_parts(self) -> (TempDir, Known) {
        (self.temp, self.known.into_inner().unwrap_or_default())
    }
}
