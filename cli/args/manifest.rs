//! The commands on manifests.

use clap::{Args, Subcommand};

/// `rbuild manifest COMMAND`.
#[derive(Debug, Subcommand)]
pub(crate) enum ManifestCommand {
    /// Display a manifest, or the list of those for several platforms
    Inspect(ManifestInspectArgs),
}

/// Arguments of `manifest inspect`.
#[derive(Debug, Args)]
pub(crate) struct ManifestInspectArgs {
    /// The bytes as they are, not indented
    #[arg(long, conflicts_with = "verbose")]
    pub(crate) raw: bool,
    /// Output additional info, and the manifest of each platform
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// What to look at
    #[arg(value_name = "NAME[:TAG]")]
    pub(crate) name: String,
}
