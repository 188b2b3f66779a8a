//! `rbuild build`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// Arguments of `rbuild build`; the short forms and value names are those of `docker buildx build`.
#[derive(Debug, Args)]
#[command(override_usage = "rbuild build [OPTIONS] PATH | -")]
pub(crate) struct BuildArgs {
    /// Add a custom host-to-IP mapping
    #[arg(long, value_name = "HOST:IP")]
    pub(crate) add_host: Vec<String>,

    /// Allow what a Dockerfile may not do by itself: security.insecure, network.host
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,

    /// Set build-time variables; the value is taken from the environment where only the name is given
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) build_arg: Vec<String>,

    /// Additional build contexts: a folder, docker-image://NAME or another kind of source
    #[arg(long, value_name = "NAME=SOURCE")]
    pub(crate) build_context: Vec<String>,

    /// Look results up in a cache from elsewhere, too: type=local,src=FOLDER[,tag=TAG] or
    /// type=registry,ref=NAME, or only NAME, or type=s3,bucket=BUCKET,region=REGION
    #[arg(long, value_name = "SOURCE")]
    pub(crate) cache_from: Vec<String>,

    /// Write the results to a cache for others: type=inline (into the image), type=local,dest=FOLDER[,tag=TAG] or type=registry,ref=NAME,
    /// with mode=min|max, compression=gzip|zstd|uncompressed, ignore-error=true|false
    #[arg(long, value_name = "DEST")]
    pub(crate) cache_to: Vec<String>,

    /// Check the Dockerfile instead of building: print warnings, exit with 1 if there are any
    #[arg(long)]
    pub(crate) check: bool,

    /// Where the build fails, open a shell in the failed step, or run COMMAND there
    #[arg(long, value_name = "COMMAND", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) debug: Option<String>,

    /// Look at the Dockerfile instead of building: check, outline (what the target takes) or targets;
    /// with ,format=json for programs, and check,ignorestatus with exit code 0 whatever is found
    #[arg(long, value_name = "METHOD[,format=text|json]", conflicts_with = "check")]
    pub(crate) call: Option<Call>,

    /// With --check: rewrite the Dockerfile where there is one way to write it
    #[arg(long, requires = "check")]
    pub(crate) fix: bool,

    /// Form of what --check and --call print
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,

    /// Print the build's steps (graph, mermaid or json) or the syntax tree (ast) instead of building
    #[arg(long, value_enum, value_name = "FORM", conflicts_with_all = ["check", "call"])]
    pub(crate) print: Option<PrintForm>,

    /// Say for every step why it ran or did not
    #[arg(long)]
    pub(crate) explain: bool,

    /// Name of the Dockerfile (default: PATH/Dockerfile), - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,

    /// Set metadata for an image
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,

    /// Note in rbuild.lock what images, URLs and git references lead to; use what is noted already
    #[arg(long)]
    pub(crate) lock: bool,

    /// Use exactly what rbuild.lock says; refuse what is not in it or differs
    #[arg(long, conflicts_with_all = ["lock", "update"])]
    pub(crate) locked: bool,

    /// Look up again what this build uses, and note it in rbuild.lock
    #[arg(long)]
    pub(crate) update: bool,

    /// Where the lock is (default: PATH/rbuild.lock); alone it means the same as with --lock
    #[arg(long, value_name = "FILE")]
    pub(crate) lock_file: Option<PathBuf>,

    /// Remove intermediate containers: they never stay, so this changes nothing
    #[arg(long, alias = "force-rm", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = ["true"])]
    rm: Vec<String>,

    /// Put the image into the store: it always is, so this changes nothing
    #[arg(long)]
    pub(crate) load: bool,

    /// Write digests and names of the result to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,

    /// Networking mode for the RUN instructions during build: default, host or none
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub(crate) network: String,

    /// Do not use the cache when building the image
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Do not use the cache for these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,

    /// Output destination: DIR, -, or type=docker|oci|tar|local,dest=PATH (- is standard output),
    /// type=registry, type=image,push=true, type=docker-load (hands the image to docker on this machine)
    #[arg(short, long, value_name = "DEST")]
    pub(crate) output: Vec<String>,

    /// Modes that files of the context get: keep (their own), or git (0644 and 0755, whatever the umask was)
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Perm::Keep)]
    pub(crate) perm: Perm,

    /// Set the target platforms; several (with commas, or the flag again) make an index of images
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,

    /// Type of progress output
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) progress: Option<Progress>,

    /// Attestation of how the image was made: there is none, so only false is taken
    #[arg(long, value_name = "BOOL")]
    pub(crate) provenance: Option<String>,

    /// Always ask the registries for the base images
    #[arg(long)]
    pub(crate) pull: bool,

    /// Push the image under all its names: short for --output=type=registry
    #[arg(long)]
    pub(crate) push: bool,

    /// Suppress the build output and print the image ID on success
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Show the output of cached steps again
    #[arg(long)]
    pub(crate) replay_logs: bool,

    /// Attestation of what is in the image: there is none, so only false is taken
    #[arg(long, value_name = "BOOL")]
    pub(crate) sbom: Option<String>,

    /// Size of /dev/shm in RUN instructions
    #[arg(long, value_name = "BYTES")]
    pub(crate) shm_size: Option<String>,

    /// Secret to expose to the build: id=ID[,src=FILE|,env=VARIABLE]
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Vec<String>,

    /// SSH agent for RUN --mount=type=ssh: default or an ID, then the agent's socket or files with private keys
    #[arg(long, value_name = "ID[=SOCKET|KEY[,KEY]]")]
    pub(crate) ssh: Vec<String>,

    /// Name and optionally a tag of the image (several are possible)
    #[arg(short, long, value_name = "NAME[:TAG]")]
    pub(crate) tag: Vec<String>,

    /// Set the target build stage to build
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,

    /// Limits of the processes of RUN instructions: nofile=1024:2048 and the like
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(crate) ulimit: Vec<String>,

    /// Build context: a folder, or - for a Dockerfile or a tar archive on standard input
    #[arg(value_name = "PATH")]
    pub(crate) context: PathBuf,
}

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// tty on a terminal, plain elsewhere
    Auto,
    /// A live view
    Tty,
    /// Lines, as for logs
    Plain,
    /// One JSON object a line on standard error
    #[value(alias = "rawjson")]
    Json,
    /// Nothing but errors
    Quiet,
}

/// `--perm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Perm {
    /// Those that they have
    Keep,
    /// Those of a checkout under umask 022
    Git,
}

/// `--check --format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// `--call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// What is called.
    pub(crate) method: Method,
    /// `format=`.
    pub(crate) format: Option<CheckFormat>,
    /// `ignorestatus`.
    pub(crate) ignore_status: bool,
}

/// What `--call` can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// As without it
    Build,
    /// The same as --check
    #[value(alias = "lint")]
    Check,
    /// The arguments, secrets, SSH agents and caches of the target
    Outline,
    /// The stages
    Targets,
}

impl FromStr for Call {
    type Err = String;

    /// `METHOD`, then members, as buildx has them.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut members = text.split(',');
        let method = members.next().unwrap_or_default();
        let method = Method::from_str(method.strip_prefix("method=").unwrap_or(method), false)
            .map_err(|_| format!("no such method {method:?}: build, check, outline or targets"))?;
        let mut call = Self { method, format: None, ignore_status: false };
        for member in members {
            match member.split_once('=').unwrap_or((member, "true")) {
                ("format", format) => {
                    let format = CheckFormat::from_str(format, false);
                    call.format = Some(format.map_err(|_| format!("{member}: text or json"))?);
                }
                ("ignorestatus", "true" | "1") => call.ignore_status = true,
                ("ignorestatus", "false" | "0") => call.ignore_status = false,
                _ => return Err(format!("unexpected member {member:?}: format= or ignorestatus")),
            }
        }
        Ok(call)
    }
}

/// `--print`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrintForm {
    /// The steps for Graphviz
    #[value(alias = "dot")]
    Graph,
    /// The steps for Mermaid
    Mermaid,
    /// The steps for programs
    Json,
    /// The syntax tree, as JSON
    Ast,
}
