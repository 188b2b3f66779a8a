//! What was typed: the command line as clap sees it, and nothing of what it means.
//!
//! Names, short forms and value names are docker's, so that people's hands and scripts find what they know.
//! A flag that docker has and rbuild has not is an error, never ignored. What the values mean is decided in
//! [`crate::settings`].

mod build;
mod cache;
mod debug;
mod explain;
mod manifest;
mod registry;
mod run;
mod store;
mod top;

pub(crate) use build::{BuildArgs, CheckFormat, Method, Perm, PrintForm, Progress};
pub(crate) use cache::{
    CacheCommand, CacheMountCommand, CacheMountExportArgs, CacheMountImportArgs, CacheMountInspectArgs,
    CacheMountLsArgs, CacheMountRmArgs, CachePruneArgs,
};
pub(crate) use debug::{DiffArgs, DiffFormat, ShellArgs};
pub(crate) use explain::{ExplainArgs, ExplainFormat, LogsArgs};
pub(crate) use manifest::{
    ManifestAnnotateArgs, ManifestCommand, ManifestCreateArgs, ManifestInspectArgs, ManifestPushArgs,
    ManifestRmArgs,
};
pub(crate) use registry::{
    CompressionKind, LoginArgs, LogoutArgs, PullArgs, PullPolicy, PushArgs, SearchArgs,
};
pub(crate) use run::RunArgs;
pub(crate) use store::{
    DfArgs, FsckArgs, HistoryArgs, ImagePruneArgs, ImagesArgs, ImportArgs, InspectArgs, LoadArgs, PruneArgs,
    RmiArgs, SaveArgs, SaveFormat, TagArgs,
};
pub(crate) use top::{Cli, Command, ImageCommand, SystemCommand, VersionArgs, command, with_default_command};
