//! What is meant: arguments and environment put together, checked, with all defaults filled in.

mod amazon;
mod bucket;
mod build;
mod cache;
mod collection;
mod config;
mod daemon;
mod environment;
mod output;
mod pairs;
mod progress;
mod registry;
mod run;
mod span;

pub(crate) use build::{
    BuildSettings, ContextSource, DockerfileSource, Look, Network, Secret, SshAgent, is_remote,
};
pub(crate) use cache::{CachePlace, CacheTo};
pub(crate) use config::Config;
pub(crate) use daemon::address as daemon_address;
pub(crate) use environment::Environment;
pub(crate) use output::{OutputFormat, OutputSettings, OutputTarget};
pub(crate) use progress::ProgressMode;
pub(crate) use registry::{PullSettings, PushSettings, credential_files, registry};
pub(crate) use run::RunSettings;
pub(crate) use span::seconds;
