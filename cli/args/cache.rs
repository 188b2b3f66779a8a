//! `rbuild cache`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rbuild_builder::room::Space;

/// `rbuild cache COMMAND`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Manage the folders of RUN --mount=type=cache
    #[command(subcommand)]
    Mount(CacheMountCommand),
    /// Remove the build cache, or a part of it
    Prune(CachePruneArgs),
}

/// Arguments of `cache prune`: those of `docker builder prune` and `docker buildx prune`.
#[derive(Debug, Args)]
pub(crate) struct CachePruneArgs {
    /// Remove what images have, too, and the history of builds
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only what matches: until=24h|TIME (not used since), type=TYPE, id=ID
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Keep so much of the cache in any case; alone, come down to that (20GB or 10%)
    #[arg(long, alias = "keep-storage", value_name = "SIZE")]
    pub(crate) reserved_space: Option<Space>,
    /// Come down to that
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_used_space: Option<Space>,
    /// Remove until so much of the disk is free
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_free_space: Option<Space>,
    /// Prune a cache that travels instead: as --cache-from has it, or a folder
    #[arg(
        long,
        value_name = "PLACE",
        conflicts_with_all = ["all", "reserved_space", "max_used_space", "min_free_space", "verbose"]
    )]
    pub(crate) remote: Option<String>,
    /// With --remote: so many of the newest caches stay in any case
    #[arg(long, value_name = "N", requires = "remote")]
    pub(crate) keep: Option<usize>,
    /// Show more of what was removed
    #[arg(long)]
    pub(crate) verbose: bool,
}

/// `rbuild cache mount COMMAND`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheMountCommand {
    /// List cache mounts
    #[command(visible_alias = "list")]
    Ls(CacheMountLsArgs),
    /// Display detailed information on one or more cache mounts
    Inspect(CacheMountInspectArgs),
    /// Write a cache mount to a tar archive (standard output by default)
    Export(CacheMountExportArgs),
    /// Make a cache mount of a tar archive, in place of what it held
    Import(CacheMountImportArgs),
    /// Remove one or more cache mounts
    #[command(visible_alias = "remove")]
    Rm(CacheMountRmArgs),
}

/// Arguments of `cache mount ls`.
#[derive(Debug, Args)]
pub(crate) struct CacheMountLsArgs {
    /// Format output using a template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Do not truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only show the names of the folders
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Arguments of `cache mount inspect`.
#[derive(Debug, Args)]
pub(crate) struct CacheMountInspectArgs {
    /// Format output using a template: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Ids as in the Dockerfile, or beginnings of the names of folders
    #[arg(value_name = "CACHE", required = true)]
    pub(crate) caches: Vec<String>,
}

/// Arguments of `cache mount export`.
#[derive(Debug, Args)]
pub(crate) struct CacheMountExportArgs {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Its id as in the Dockerfile, or the beginning of the name of its folder
    #[arg(value_name = "CACHE")]
    pub(crate) cache: String,
}

/// Arguments of `cache mount import`.
#[derive(Debug, Args)]
pub(crate) struct CacheMountImportArgs {
    /// Read from a tar archive, plain or compressed, instead of standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Id of the cache mount; needed where the archive was not written by export
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
}

/// Arguments of `cache mount rm`.
#[derive(Debug, Args)]
pub(crate) struct CacheMountRmArgs {
    /// Remove all of them
    #[arg(short, long, conflicts_with = "caches")]
    pub(crate) all: bool,
    /// Ids as in the Dockerfile, or beginnings of the names of folders
    #[arg(value_name = "CACHE", required_unless_present = "all")]
    pub(crate) caches: Vec<String>,
}
