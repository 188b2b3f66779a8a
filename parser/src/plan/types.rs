//! What a plan is made of: steps, the states of a file system that they start from and lead to, and the
//! configuration of the resulting image. Everything is expanded; no variable is left in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::environment::Environment;
use super::history::CreatedBy;
use crate::source::LineRange;

/// Index of a step in [`Plan::steps`]. Steps are in an order in which they could run one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct StepId(pub u32);

/// Number that the caller's [`Bases`](super::Bases) gave to a resolved image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BaseId(pub u32);

/// Everything that has to be done for one target, and what comes out.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The steps that the target needs, and no others.
    pub steps: Vec<Step>,
    /// The image that the build results in.
    pub target: Target,
}

/// A state of a file system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub enum Root {
    /// Nothing at all.
    Scratch,
    /// The layers of an image.
    Base(BaseId),
    /// What a step left behind: its parent's state and its own layer.
    Step(StepId),
    /// The build context. Only a source of files, never a parent.
    MainContext,
    /// A folder given with `--build-context`; by its normalised name. As a parent it is one layer.
    NamedContext(String),
}

/// One effect on a file system.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Its index in [`Plan::steps`].
    pub id: StepId,
    /// The state that it starts from. With `COPY --link` its layer does not depend on it.
    pub parent: Root,
    /// What to do.
    pub op: Op,
    /// The stage it belongs to, as people know it: its name, else `stage-N`.
    pub stage: String,
    /// What its programs are for: `os/arch[/variant]` of the image that the stage began with.
    pub platform: String,
    /// True if the file has a single stage without a name, so that naming it in titles helps nobody.
    pub only_stage: bool,
    /// Its number among the steps of its stage, and how many there are (both from 1).
    pub position: (u32, u32),
    /// The instruction as written, keyword in upper case, continuation lines joined.
    pub text: String,
    /// Where it is written. For a triggered ONBUILD instruction, the FROM line.
    pub lines: LineRange,
    /// True if an ONBUILD of the base image brought it in.
    pub onbuild: bool,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Op {
    /// RUN.
    Run(Run),
    /// COPY and ADD.
    Copy(Copy),
    /// WORKDIR, which makes the directory if it is not there.
    Workdir(Workdir),
}

/// A process in a container (Dockerfile reference, RUN).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The program and its arguments, the shell included.
    pub argv: Vec<String>,
    /// Environment in order of the most recent assignment, without HOME, proxies and secrets.
    pub env: Environment,
    /// Proxy variables of the build arguments: in the process, never in the cache key.
    pub proxy_env: Vec<(String, String)>,
    /// Working directory, as WORKDIR left it (uncleaned).
    pub workdir: String,
    /// `Config.User`, as written; empty for root.
    pub user: String,
    /// `--mount`s in the order written.
    pub mounts: Vec<Mount>,
    /// `--network`.
    pub network: RunNetwork,
    /// `--security=insecure`.
    pub insecure: bool,
    /// A heredoc that starts with `#!`: an executable file below `/dev/pipes/`.
    pub script: Option<InlineFile>,
}

/// `RUN --network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RunNetwork {
    /// What the build was told to use.
    Default,
    /// Loopback only.
    None,
    /// The host's.
    Host,
}

/// `RUN --mount`, with the defaults of its type filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Absolute, cleaned path in the container. None for a secret that is only a variable.
    pub target: Option<String>,
    /// What is mounted.
    pub kind: MountKind,
}

/// The types of `RUN --mount`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MountKind {
    /// Files of the context, a stage or an image. Writes are thrown away.
    Bind {
        /// Where the files come from.
        from: Root,
        /// Path inside `from`.
        source: String,
        /// `rw`.
        writable: bool,
    },
    /// A folder that outlives the build.
    Cache {
        /// Its name: `id=`, else the cleaned target as written.
        id: String,
        /// `sharing=`.
        sharing: Sharing,
        /// What a new cache starts with.
        from: Option<(Root, String)>,
        /// `source=` without `from=`: a folder inside of the cache.
        source: String,
        /// `readonly`.
        readonly: bool,
        /// Owner and permissions of a new cache, if any of `uid`, `gid`, `mode` was given.
        owner: Option<(u32, u32, u32)>,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// `size=`, in bytes.
        size: Option<u64>,
    },
    /// A file, a variable, or both, that only this process sees.
    Secret {
        /// `id=`, `source=`, or the base name of the target.
        id: String,
        /// `env=`.
        env: Option<String>,
        /// `required`.
        required: bool,
        /// Permissions of the file.
        mode: u32,
        /// Owner of the file.
        uid: u32,
        /// Group of the file.
        gid: u32,
    },
    /// A socket of the SSH agent.
    Ssh {
        /// `id=`, `default` if not given.
        id: String,
        /// `required`.
        required: bool,
        /// Permissions of the socket.
        mode: u32,
        /// Owner of the socket.
        uid: u32,
        /// Group of the socket.
        gid: u32,
    },
}

/// `sharing=` of a cache mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Sharing {
    /// Any number of users at once.
    Shared,
    /// A new folder if another one is in use.
    Private,
    /// One user after the other.
    Locked,
}

/// COPY and ADD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// ADD: archives are unpacked, URLs fetched.
    pub add: bool,
    /// Where [`CopySource::Path`]s are looked up.
    pub from: Root,
    /// In the order of processing: heredocs come after everything else.
    pub sources: Vec<CopySource>,
    /// Absolute destination. A trailing `/` or `/.` says that it is a directory.
    pub dest: String,
    /// `--chown`, not yet looked up.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// `--link` is in effect: the layer is made on an empty file system.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, in order.
    pub exclude: Vec<String>,
    /// `--unpack`, if given.
    pub unpack: Option<bool>,
    /// `--checksum`, as written.
    pub checksum: Option<String>,
    /// `--keep-git-dir`, if given.
    pub keep_git_dir: Option<bool>,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum CopySource {
    /// A path or pattern inside [`Copy::from`]: absolute and cleaned; with `parents` as written.
    Path(String),
    /// A heredoc.
    Inline(InlineFile),
    /// `http://` or `https://`.
    Http(String),
    /// A git repository, as written.
    Git(String),
}

/// A heredoc as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InlineFile {
    /// The delimiter.
    pub name: String,
    /// The body, expanded and without leading tabs where it should be.
    pub data: String,
}

/// `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Chmod {
    /// Permission bits, also for created parent directories.
    Octal(u32),
    /// Checked; see [`crate::chmod`].
    Symbolic(String),
}

/// WORKDIR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workdir {
    /// Absolute and cleaned.
    pub path: String,
    /// `Config.User`, who will own what is created.
    pub user: String,
    /// SOURCE_DATE_EPOCH: the modification time of the directory, in seconds.
    pub epoch: Option<i64>,
}

/// The image that a build results in.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// Its file system.
    pub root: Root,
    /// Its `config` object.
    pub config: Config,
    /// MAINTAINER.
    pub author: Option<String>,
    /// The image whose layers and history come first.
    pub base: Option<BaseId>,
    /// What the instructions add to the history.
    pub history: Vec<HistoryEntry>,
    /// `os/arch[/variant]`.
    pub platform: String,
    /// Name of the stage, if it has one.
    pub stage: Option<String>,
    /// SOURCE_DATE_EPOCH in seconds.
    pub epoch: Option<i64>,
}

/// A stage right after one of its steps.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The `config` object of an image that ended there.
    pub config: Config,
    /// What a RUN would see there: ENV and ARG.
    pub env: Environment,
    /// The shell of shell forms.
    pub shell: Vec<String>,
}

/// One entry of the image's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// What made it, in BuildKit's words.
    pub created_by: CreatedBy,
    /// The step whose layer it stands for; None for an entry with `empty_layer`.
    pub layer: Option<StepId>,
}

/// The `config` object of an image (OCI image spec, config.md, and Docker's additions).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are those of the format")]
pub struct Config {
    pub user: String,
    pub exposed_ports: BTreeSet<String>,
    pub env: Vec<String>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub volumes: BTreeSet<String>,
    pub working_dir: String,
    pub labels: BTreeMap<String, String>,
    pub stop_signal: String,
    pub args_escaped: bool,
    pub healthcheck: Option<Healthcheck>,
    pub on_build: Vec<String>,
    pub shell: Option<Vec<String>>,
}

/// HEALTHCHECK; durations in nanoseconds, 0 where not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are those of the format")]
pub struct Healthcheck {
    pub test: Vec<String>,
    pub interval: i64,
    pub timeout: i64,
    pub start_period: i64,
    pub start_interval: i64,
    pub retries: i64,
}
