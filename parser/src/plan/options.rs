//! What a plan depends on besides the Dockerfile, and what can be wrong with it.

use std::collections::BTreeMap;

use super::types::{BaseId, Config, Plan};
use crate::lint::Warning;
use crate::pattern::IgnorePatterns;
use crate::source::LineRange;

/// What the command line says about a build.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--build-arg`; None is the caller's business (a value taken from the environment).
    pub build_args: BTreeMap<String, String>,
    /// `--target`.
    pub target: Option<String>,
    /// `--platform`, normalised; None if not given.
    pub platform: Option<String>,
    /// The machine's own platform, normalised.
    pub build_platform: String,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--build-context`, by normalised name.
    pub contexts: BTreeMap<String, NamedContext>,
    /// The ignore file of the main context, if it has one. Only the check of COPY and ADD looks at it.
    pub ignore: Option<IgnorePatterns>,
}

/// A `--build-context` that is not the main one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// `docker-image://REF`, `oci-layout://...`: resolved through [`Bases`] by this text.
    Image(String),
    /// A folder, or something unpacked into one.
    Folder,
}

/// A base image that the plan needs.
#[derive(Debug)]
pub struct BaseRequest<'a> {
    /// The reference, expanded, as written; or the text of a [`NamedContext::Image`].
    pub name: &'a str,
    /// `os/arch[/variant]`, normalised.
    pub platform: &'a str,
    /// Where it is asked for.
    pub lines: LineRange,
}

/// A resolved base image.
#[derive(Debug, Clone)]
pub struct Base {
    /// How the caller calls it.
    pub id: BaseId,
    /// Its `config` object.
    pub config: Config,
    /// Its `author`.
    pub author: Option<String>,
    /// Its own `os/arch[/variant]`.
    pub platform: String,
    /// True if it has neither layers nor history entries that claim one.
    pub empty: bool,
}

/// Finds base images. The only way in which a plan depends on anything but text.
pub trait Bases {
    /// Resolves one image. The error is a sentence for the user, in BuildKit's words where it has some.
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String>;

    /// Hears which images will be resolved, as far as that can be known before the first of them is: whoever has to
    /// fetch them can fetch them at once. The error says which of them cannot be had, as [`Bases::resolve`] would.
    fn expect(&mut self, _requests: &[BaseRequest<'_>]) -> Result<(), (usize, String)> {
        Ok(())
    }
}

/// A plan, and what should be written differently in the Dockerfile.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What to do.
    pub plan: Plan,
    /// Warnings in file order.
    pub warnings: Vec<Warning>,
}

/// The outcome of `--check`.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Warnings in file order; those that were found before the error.
    pub warnings: Vec<Warning>,
    /// Why the Dockerfile could not be built, as far as that can be known without building.
    pub error: Option<PlanError>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PlanError {
    /// What is wrong, in BuildKit's words.
    pub message: String,
    /// The instruction that it is about; None where BuildKit names none.
    pub lines: Option<LineRange>,
    /// The other instructions that have a part in it, in file order.
    pub also: Vec<LineRange>,
    /// What else is wrong with the file, independently of this.
    pub others: Vec<Self>,
    /// Warnings that were found before.
    pub warnings: Vec<Warning>,
}

impl PlanError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            lines: None,
            also: Vec::new(),
            others: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn at(mut self, lines: LineRange) -> Self {
        self.lines.get_or_insert(lines);
        self
    }
}

/// An error without a place; whoever knows the place adds it.
pub(super) fn fail<T>(message: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError::new(message))
}

impl From<crate::expand::ExpandError> for PlanError {
    fn from(cause: crate::expand::ExpandError) -> Self {
        Self::new(cause.to_string())
    }
}

impl From<crate::lint::BadCheckOption> for PlanError {
    fn from(cause: crate::lint::BadCheckOption) -> Self {
        Self::new(cause.to_string())
    }
}
