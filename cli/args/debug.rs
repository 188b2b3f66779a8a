//! The commands that look into what builds left.

use clap::{Args, ValueEnum};

/// Arguments of `shell`; everything after the step belongs to the program.
#[derive(Debug, Args)]
#[command(override_usage = "rbuild shell [BUILD[:STEP] [COMMAND [ARG...]]]")]
pub(crate) struct ShellArgs {
    /// A failed build: its ID or last, and with a number that step of it; then a command in place of the shell
    #[arg(value_name = "BUILD[:STEP]", trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    pub(crate) step_and_command: Vec<String>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(
    override_usage = "rbuild diff [OPTIONS] CONTAINER | STEP | IMAGE\n       rbuild diff [OPTIONS] A B"
)]
pub(crate) struct DiffArgs {
    /// Exit with 1 if there are differences
    #[arg(long)]
    pub(crate) exit_code: bool,

    /// Form of what is printed
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = DiffFormat::Text)]
    pub(crate) format: DiffFormat,

    /// Count modification times, too
    #[arg(long)]
    pub(crate) times: bool,

    /// A container, an image, an archive of one, or step:N or step:BUILD/N; one alone is compared with what it
    /// started from
    #[arg(value_name = "A", required = true, num_args = 1..=2)]
    pub(crate) sides: Vec<String>,
}

/// `diff --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// For people
    Text,
    /// For programs: an object a line
    Json,
}
