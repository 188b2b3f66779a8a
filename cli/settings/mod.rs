//! What is meant: arguments and environment put together, checked, with all defaults filled in.

mod build;
mod environment;
mod output;
mod pairs;
mod run;

pub(crate) use build::{BuildSettings, ContextSource, DockerfileSource, Look, ProgressMode, Secret};
pub(crate) use environment::Environment;
pub(crate) use output::{OutputFormat, OutputSettings, OutputTarget};
pub(crate) use run::RunSettings;
