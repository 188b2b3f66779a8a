//! The commands, their groups in `rbuild --help`, and the rule that no command means `build`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::{
    BuildArgs, CacheCommand, DfArgs, DiffArgs, ExplainArgs, FsckArgs, HistoryArgs, ImagePruneArgs,
    ImagesArgs, ImportArgs, InspectArgs, LoadArgs, LoginArgs, LogoutArgs, LogsArgs, ManifestCommand,
    PruneArgs, PullArgs, PushArgs, RmiArgs, RunArgs, SaveArgs, SearchArgs, ShellArgs, TagArgs,
};

/// Builds container images from Dockerfiles and runs them, without a daemon
#[derive(Debug, Parser)]
#[command(name = "rbuild", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// A second store whose images, layers and cache are used, and which is never written to
    #[arg(long, global = true, value_name = "DIR", display_order = 900)]
    pub(crate) store_lower: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// Create and run a container from an image
    Run(Box<RunArgs>),
    /// Say for every step of a build why it ran or did not
    Explain(ExplainArgs),
    /// Show what the steps of a build wrote
    Logs(LogsArgs),
    /// Open a shell where a build failed
    Shell(ShellArgs),
    /// Show what differs between two images, steps or containers
    Diff(DiffArgs),
    /// Download an image from a registry
    Pull(PullArgs),
    /// Upload images to a registry
    Push(PushArgs),
    /// Authenticate to a registry
    Login(LoginArgs),
    /// Log out from a registry
    Logout(LogoutArgs),
    /// Search a registry for images
    Search(SearchArgs),
    /// List images
    Images(ImagesArgs),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(TagArgs),
    /// Remove one or more images
    Rmi(RmiArgs),
    /// Show the history of an image
    History(HistoryArgs),
    /// Return low-level information on images
    Inspect(InspectArgs),
    /// Load images from a tar archive, an OCI layout or standard input
    Load(LoadArgs),
    /// Save one or more images to a tar archive (streamed to standard output by default)
    Save(SaveArgs),
    /// Import the contents of a tarball as the file system of a new image
    Import(ImportArgs),
    /// Manage the build cache
    #[command(subcommand, alias = "builder")]
    Cache(CacheCommand),
    /// Manage images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Manage manifests and lists of them
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Manage the store
    #[command(subcommand)]
    System(SystemCommand),
    /// Check the store, and repair it
    Fsck(FsckArgs),
    /// Show how rbuild works on this machine
    Info(VersionArgs),
    /// Show the version
    Version(VersionArgs),
}

/// `rbuild image COMMAND`: the same commands under docker's other names.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// Show the history of an image
    History(HistoryArgs),
    /// Import the contents of a tarball as the file system of a new image
    Import(ImportArgs),
    /// Display detailed information on one or more images
    Inspect(InspectArgs),
    /// Load images from a tar archive, an OCI layout or standard input
    Load(LoadArgs),
    /// List images
    #[command(visible_alias = "list")]
    Ls(ImagesArgs),
    /// Remove unused images
    Prune(ImagePruneArgs),
    /// Download an image from a registry
    Pull(PullArgs),
    /// Upload images to a registry
    Push(PushArgs),
    /// Remove one or more images
    #[command(visible_alias = "remove")]
    Rm(RmiArgs),
    /// Save one or more images to a tar archive (streamed to standard output by default)
    Save(SaveArgs),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(TagArgs),
}

/// `rbuild system COMMAND`.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemCommand {
    /// Show disk usage
    Df(DfArgs),
    /// Show how rbuild works on this machine
    Info(VersionArgs),
    /// Remove unused data
    Prune(PruneArgs),
}

/// Arguments of `version` and `info`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Format output using a template: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
}

/// The commands as `rbuild --help` groups them.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Common Commands", &["build", "run"]),
    ("Builds", &["explain", "logs", "shell", "diff"]),
    ("Images", &["images", "history", "inspect", "tag", "rmi"]),
    ("Registries", &["pull", "push", "manifest", "login", "logout", "search"]),
    ("Archives", &["load", "save", "import"]),
    ("Management", &["cache", "image", "system", "fsck", "info", "version"]),
];

/// The parser, with the commands grouped in its help.
pub(crate) fn command() -> clap::Command {
    let plain = Cli::command();
    let mut groups = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(groups, "{title}:");
        for name in names {
            let about = plain.find_subcommand(name).and_then(clap::Command::get_about);
            let _ = writeln!(groups, "  {name:<11} {}", about.map(ToString::to_string).unwrap_or_default());
        }
        groups.push('\n');
    }
    let template = format!(
        "{{about}}\n\nUsage:  rbuild [OPTIONS] PATH | -      (same as rbuild build)\n        rbuild COMMAND [ARGS...]\n\n\
         {groups}Options:\n{{options}}\n\nRun 'rbuild COMMAND --help' for more information on a command.\n"
    );
    plain.help_template(template)
}

/// `rbuild -t x .` is `rbuild build -t x .`: puts `build` in where the first argument is neither a command nor
/// a request for help. `exists` says whether a path is there, so that a mistyped command is not taken for a
/// build context.
pub(crate) fn with_default_command(args: Vec<OsString>, exists: impl Fn(&OsString) -> bool) -> Vec<OsString> {
    let at = 1 + global_arguments(&args);
    let Some(first) = args.get(at) else { return args };
    let text = first.to_string_lossy();
    let is_build = if text.starts_with('-') {
        !matches!(&*text, "-h" | "--help" | "-V" | "--version")
    } else {
        !Cli::command().get_subcommands().any(|c| c.get_name() == text) && exists(first)
    };
    let mut args = args;
    if is_build {
        args.insert(at, "build".into());
    }
    args
}

/// How many arguments in front are about the store, and so about every command.
fn global_arguments(args: &[OsString]) -> usize {
    let mut count = 0;
    while let Some(text) = args.get(1 + count).map(|arg| arg.to_string_lossy()) {
        match &*text {
            "--store-lower" => count += 2,
            text if text.starts_with("--store-lower=") => count += 1,
            _ => break,
        }
    }
    count.min(args.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inserted(args: &[&str], exists: bool) -> Vec<String> {
        let args = std::iter::once("rbuild").chain(args.iter().copied()).map(OsString::from).collect();
        let out = with_default_command(args, |_| exists);
        out.into_iter().skip(1).map(|a| a.into_string().expect("the tests use text")).collect()
    }

    #[test]
    fn no_command_is_build() {
        for (typed, exists, want) in [
            (&["-t", "x", "."][..], false, &["build", "-t", "x", "."][..]),
            (&["."], true, &["build", "."]),
            (&["-"], false, &["build", "-"]),
            (&["images", "-q"], true, &["images", "-q"]),
            (&["imagse"], false, &["imagse"]),
            (&["--help"], false, &["--help"]),
            (&["--no-cache", "run"], true, &["build", "--no-cache", "run"]),
            (&[], true, &[]),
            (&["--store-lower", "d", "images"], true, &["--store-lower", "d", "images"]),
            (&["--store-lower=d", "-t", "x", "."], true, &["--store-lower=d", "build", "-t", "x", "."]),
            (&["--store-lower"], true, &["--store-lower"]),
        ] {
            assert_eq!(inserted(typed, exists), want, "{typed:?}");
        }
    }

    #[test]
    fn every_command_is_in_a_group() {
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut all: Vec<_> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn the_parser_is_consistent() {
        command().debug_assert();
    }
}
