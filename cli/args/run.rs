//! `rbuild run`.

use std::path::PathBuf;

use clap::Args;

use super::PullPolicy;

/// Arguments of `rbuild run`; everything after the image belongs to the program.
#[derive(Debug, Args)]
#[command(
    override_usage = "rbuild run [OPTIONS] IMAGE | ARCHIVE.tar [COMMAND] [ARG...]",
    disable_help_flag = true
)]
pub(crate) struct RunArgs {
    /// Print usage
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,

    /// Add Linux capabilities
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_add: Vec<String>,

    /// Drop Linux capabilities
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_drop: Vec<String>,

    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,

    /// Set environment variables; the value is taken from the environment where only the name is given
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,

    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,

    /// Add additional groups to join
    #[arg(long, value_name = "GROUP")]
    pub(crate) group_add: Vec<String>,

    /// Container host name
    #[arg(short, long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,

    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    pub(crate) init: bool,

    /// Keep standard input open
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// Assign a name to the container
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Network of the container: host or none
    #[arg(long, alias = "net", value_name = "MODE", default_value = "host")]
    pub(crate) network: String,

    /// Give extended privileges to this container
    #[arg(long)]
    pub(crate) privileged: bool,

    /// The platform whose image is wanted, where a registry has several
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,

    /// Pull the image before running
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = PullPolicy::Missing)]
    pub(crate) pull: PullPolicy,

    /// Mount the container's root file system as read only
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Remove the container and its changes when it exits
    #[arg(long)]
    pub(crate) rm: bool,

    /// Security options: no-new-privileges
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<String>,

    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    pub(crate) shm_size: Option<String>,

    /// Mount a tmpfs directory
    #[arg(long, value_name = "PATH[:OPTIONS]")]
    pub(crate) tmpfs: Vec<String>,

    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub(crate) tty: bool,

    /// Limits of the processes: nofile=1024:2048 and the like
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(crate) ulimit: Vec<String>,

    /// Username or UID
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    pub(crate) user: Option<String>,

    /// Mount a folder or file of the host, or a named volume
    #[arg(short, long, value_name = "HOST|NAME:CONTAINER[:ro]")]
    pub(crate) volume: Vec<String>,

    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,

    /// The image (or a tar archive of one), then the command and its arguments
    #[arg(value_name = "IMAGE", required = true, trailing_var_arg = true, allow_hyphen_values = true, num_args = 1..)]
    pub(crate) image_and_command: Vec<String>,
}
