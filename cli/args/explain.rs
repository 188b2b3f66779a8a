//! The commands on builds of the past.

use clap::{Args, ValueEnum};

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Form of what is printed
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ExplainFormat::Text)]
    pub(crate) format: ExplainFormat,
    /// An image, the ID of a build, or last
    #[arg(value_name = "IMAGE|BUILD", default_value = "last")]
    pub(crate) build: String,
}

/// `explain --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// An image, the ID of a build, or last
    #[arg(long, value_name = "IMAGE|BUILD", default_value = "last")]
    pub(crate) build: String,
    /// Only this step, by its number in the output of the build; nothing but its output is printed
    #[arg(long, value_name = "N")]
    pub(crate) step: Option<usize>,
}
