//! Why a build failed.

use std::path::PathBuf;
use std::sync::Arc;

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
    /// The very text in question.
    pub span: Option<Span>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A step that did not succeed.
#[derive(Debug)]
pub struct FailedStep {
    /// Which.
    pub info: StepInfo,
    /// The end of its output, whole lines.
    pub log_tail: Vec<u8>,
}
