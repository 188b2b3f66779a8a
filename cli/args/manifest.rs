//! The commands on manifests.

use clap::{Args, Subcommand};

/// `rbuild manifest COMMAND`.
#[derive(Debug, Subcommand)]
pub(crate) enum ManifestCommand {
    /// Say of an image in a local manifest list what it runs on
    Annotate(ManifestAnnotateArgs),
    /// Create a local manifest list for annotating and pushing to a registry
    Create(ManifestCreateArgs),
    /// Display a manifest, or the list of those for several platforms
    Inspect(ManifestInspectArgs),
    /// Push a manifest list to a repository, with what it leads to
    Push(ManifestPushArgs),
    /// Delete one or more manifest lists from the store
    Rm(ManifestRmArgs),
}

/// Arguments of `manifest create`.
#[derive(Debug, Args)]
pub(crate) struct ManifestCreateArgs {
    /// Amend an existing manifest list
    #[arg(short, long)]
    pub(crate) amend: bool,
    /// Allow communication with an insecure registry
    #[arg(long)]
    pub(crate) insecure: bool,
    /// The name under which it will be pushed
    #[arg(value_name = "MANIFEST_LIST")]
    pub(crate) list: String,
    /// Images of the store or of registries
    #[arg(value_name = "MANIFEST", required = true)]
    pub(crate) manifests: Vec<String>,
}

/// Arguments of `manifest annotate`.
#[derive(Debug, Args)]
pub(crate) struct ManifestAnnotateArgs {
    /// Set architecture
    #[arg(long, value_name = "ARCH")]
    pub(crate) arch: Option<String>,
    /// Set operating system
    #[arg(long, value_name = "OS")]
    pub(crate) os: Option<String>,
    /// Set operating system feature
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub(crate) os_features: Vec<String>,
    /// Set operating system version
    #[arg(long, value_name = "VERSION")]
    pub(crate) os_version: Option<String>,
    /// Set architecture variant
    #[arg(long, value_name = "VARIANT")]
    pub(crate) variant: Option<String>,
    /// The list
    #[arg(value_name = "MANIFEST_LIST")]
    pub(crate) list: String,
    /// What it is about, as it was called when it was added
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: String,
}

/// Arguments of `manifest inspect`.
#[derive(Debug, Args)]
pub(crate) struct ManifestInspectArgs {
    /// Allow communication with an insecure registry
    #[arg(long)]
    pub(crate) insecure: bool,
    /// The bytes as they are, not indented
    #[arg(long, conflicts_with = "verbose")]
    pub(crate) raw: bool,
    /// Output additional info, and the manifest of each platform
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// What to look at; before it the list that it is in
    #[arg(value_name = "[MANIFEST_LIST] MANIFEST", required = true, num_args = 1..=2)]
    pub(crate) names: Vec<String>,
}

/// Arguments of `manifest push`.
#[derive(Debug, Args)]
pub(crate) struct ManifestPushArgs {
    /// Allow push to an insecure registry
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Remove the local manifest list after push
    #[arg(short, long)]
    pub(crate) purge: bool,
    /// The list, or an image for several platforms
    #[arg(value_name = "MANIFEST_LIST")]
    pub(crate) list: String,
}

/// Arguments of `manifest rm`.
#[derive(Debug, Args)]
pub(crate) struct ManifestRmArgs {
    /// The lists
    #[arg(value_name = "MANIFEST_LIST", required = true)]
    pub(crate) lists: Vec<String>,
}
