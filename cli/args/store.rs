//! The commands on the store.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments of `images` and `image ls`.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Show all images, those without a name included
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Show digests
    #[arg(long)]
    pub(crate) digests: bool,

    /// Filter output: dangling=true|false, label=KEY[=VALUE], reference=PATTERN, before=IMAGE, since=IMAGE
    #[arg(short, long, value_name = "FILTER")]
    pub(crate) filter: Vec<String>,

    /// Format output using a template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,

    /// Do not truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,

    /// Only show image IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Only images of this repository
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub(crate) repository: Option<String>,
}

/// Arguments of `tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// Name, ID or prefix of the ID of an image
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    pub(crate) source: String,
    /// Its new name
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    pub(crate) target: String,
}

/// Arguments of `rmi` and `image rm`.
#[derive(Debug, Args)]
pub(crate) struct RmiArgs {
    /// Remove the image even if it has several names
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Names, IDs or prefixes of IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Format output using a template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) human: bool,
    /// Do not truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Name, ID or prefix of the ID of an image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output using a template: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Of images for several platforms, the one for this
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,
    /// Names, IDs or prefixes of IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Read from a tar archive or an OCI layout folder instead of standard input
    #[arg(short, long, value_name = "PATH")]
    pub(crate) input: Option<PathBuf>,
    /// Load only the images for this platform
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,
    /// Suppress the load output
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Arguments of `save`.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// For whom it is
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "docker")]
    pub(crate) format: SaveFormat,
    /// Leave out the layers that docker on this machine has; only its docker load can read such an archive
    #[arg(long, conflicts_with = "format")]
    pub(crate) thin: bool,
    /// Names, IDs or prefixes of IDs
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
}

/// `save --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SaveFormat {
    /// For docker and readers of OCI layouts, layers not compressed
    #[value(alias = "docker-archive")]
    Docker,
    /// For readers of OCI layouts: what came from elsewhere has its manifest and its layers as they came
    #[value(alias = "oci-archive")]
    Oci,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Apply a Dockerfile instruction to the created image
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub(crate) change: Vec<String>,
    /// Set a message for the imported image
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Platform of the image
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,
    /// A tar archive, plain or compressed, or - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub(crate) name: Option<String>,
}

/// Arguments of `system df`.
#[derive(Debug, Args)]
pub(crate) struct DfArgs {
    /// Format output using a template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// Arguments of `system prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove all images without containers and the whole build cache, not just what nothing needs
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only what matches: until=24h|TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Arguments of `image prune`.
#[derive(Debug, Args)]
pub(crate) struct ImagePruneArgs {
    /// Remove all images without containers, not just those without a name
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only what matches: until=24h|TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Arguments of `fsck`.
#[derive(Debug, Args)]
pub(crate) struct FsckArgs {
    /// Remove what is broken, and what needs it
    #[arg(long)]
    pub(crate) repair: bool,
}
