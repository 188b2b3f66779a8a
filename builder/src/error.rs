//! Why a build failed.

use std::path::PathBuf;
use std::sync::Arc;

use rbuild_parser::plan::PlanError;
use rbuild_parser::source::{LineRange, Span};
use thiserror::Error;

use crate::event::StepInfo;

/// A build that did not end with an image.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The Dockerfile could not be read.
    #[error("failed to read dockerfile: {0}")]
    ReadDockerfile(String),
    /// The build context could not be read.
    #[error("failed to read the build context {path}: {cause}", path = .path.display())]
    Context {
        /// The folder, or `-`.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The ignore file has a pattern that is none.
    #[error("failed to read dockerignore patterns: {0}")]
    Ignore(String),
    /// The Dockerfile, or one of its steps, failed.
    #[error("{}", .0.problems[0].message)]
    Dockerfile(Box<Located>),
    /// The user ended it.
    #[error("the build was interrupted")]
    Interrupted,
    /// The lock cannot be read or written.
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    /// The image was built, but an output could not be written.
    #[error("failed to write {what}: {cause}")]
    Output {
        /// As in [`Event::Exporting`](crate::event::Event::Exporting).
        what: String,
        /// What went wrong.
        cause: String,
    },
    /// The finished image could not be kept.
    #[error(transparent)]
    Image(#[from] rbuild_image::store::ImageError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] rbuild_image::store::StoreError),
}

/// A file and what is wrong in it.
#[derive(Debug)]
pub struct Located {
    /// The Dockerfile.
    pub file: Arc<SourceFile>,
    /// At least one; the first is the one that other builders would report.
    pub problems: Vec<Problem>,
    /// The step that failed, if it came so far.
    pub step: Option<FailedStep>,
}

/// A Dockerfile as it was read.
#[derive(Debug)]
pub struct SourceFile {
    /// Its name in messages: `Dockerfile`, or what `-f` said.
    pub name: String,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Problem {
    /// A sentence, in BuildKit's words where it has some.
    pub message: String,
    /// The lines that are to be shown, if there is a place.
    pub lines: Option<LineRange>,
    /// Further lines that have a part in it, in file order.
    pub also: Vec<LineRange>,
    /// The very text in question.
    pub span: Option<Span>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// One without a place.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), lines: None, also: Vec::new(), span: None, help: None }
    }
}

impl Problem {
    /// Everything that is wrong by a plan's error, the error itself first.
    pub(crate) fn of_plan(error: PlanError) -> Vec<Self> {
        let PlanError { message, lines, also, others, .. } = error;
        let first = Self { lines, also, ..Self::new(message) };
        std::iter::once(first).chain(others.into_iter().flat_map(Self::of_plan)).collect()
    }
}

/// A step that did not succeed.
#[derive(Debug)]
pub struct FailedStep {
    /// Which.
    pub info: StepInfo,
    /// The end of its output, whole lines.
    pub log_tail: Vec<u8>,
    /// What it left can be looked at (see [`crate::failed`]).
    pub kept: bool,
}
