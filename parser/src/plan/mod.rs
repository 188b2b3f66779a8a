//! From a parsed Dockerfile to a [`Plan`]: stages are linked, variables expanded, and the instructions that
//! have no effect on files are folded into the configuration that the others see.

mod types;

use std::collections::BTreeMap;

pub use types::*;

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
}
