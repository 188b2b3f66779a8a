//! The commands that talk to registries.

use clap::{Args, ValueEnum};

use super::Progress;

/// Arguments of `pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Download all tagged images in the repository
    #[arg(short, long)]
    pub(crate) all_tags: bool,
    /// The platforms whose images are wanted, where the registry has several; separated by commas
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,
    /// Type of progress output
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) progress: Option<Progress>,
    /// Suppress verbose output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// What to download
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    pub(crate) name: String,
}

/// Arguments of `push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    pub(crate) all_tags: bool,
    /// How layers are compressed that rbuild made
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) compression: Option<CompressionKind>,
    /// 1 to 9 for gzip, 1 to 22 for zstd
    #[arg(long, value_name = "LEVEL")]
    pub(crate) compression_level: Option<u32>,
    /// Type of progress output
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) progress: Option<Progress>,
    /// Suppress verbose output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// What to upload
    #[arg(value_name = "NAME[:TAG]", required = true)]
    pub(crate) names: Vec<String>,
}

/// `--compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionKind {
    /// What every registry and engine takes
    Gzip,
    /// Smaller and faster
    Zstd,
    /// None at all
    Uncompressed,
}

/// Arguments of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Password or personal access token
    #[arg(short, long, value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
    /// Take the password or token from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Username
    #[arg(short, long, value_name = "USER")]
    pub(crate) username: Option<String>,
    /// The registry; Docker Hub if there is none
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
}

/// Arguments of `logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The registry; Docker Hub if there is none
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
}

/// Arguments of `search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Filter output: is-official=true|false, is-automated=true|false, stars=NUMBER
    #[arg(short, long, value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
    /// Format output using a template: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Max number of search results
    #[arg(long, value_name = "NUMBER", default_value_t = 25)]
    pub(crate) limit: usize,
    /// Do not truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// What is in the name; HOST/TERM or HOST:PORT/TERM searches the catalog of that registry
    #[arg(value_name = "TERM")]
    pub(crate) term: String,
}

/// `--pull` of `run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullPolicy {
    /// When the image is not in the store
    Missing,
    /// Even if it is
    Always,
    /// Only the store counts
    Never,
}
