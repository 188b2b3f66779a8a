//! What somebody wants built.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use rbuild_image::place::{Address, Place};
use rbuild_image::reference::Reference;
use rbuild_image::registry::{Compression, Policy, Proxies, Registry};
use rbuild_parser::plan::Options;
use rbuild_runtime::ulimit::Ulimit;

use crate::cache_mount::Locked;
pub use crate::context::Permissions;
use crate::explain::BuildId;
use crate::lock::Lock;

/// One build.
#[derive(Debug)]
pub struct Request {
    /// The name under which the build is remembered.
    pub id: BuildId,
    /// Where the files come from.
    pub context: ContextArg,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileArg,
    /// The sources of files among the `--build-context`s, by normalised name. All of them are in
    /// `options.contexts`, those that are images only there.
    pub contexts: BTreeMap<String, NamedSource>,
    /// `--perm`: what modes the files of contexts count with.
    pub permissions: Permissions,
    /// Build arguments, target, labels. Its platform is not looked at.
    pub options: Options,
    /// `--platform`, normalised, each once: with several the result is an index. None means the machine's.
    pub platforms: Vec<String>,
    /// Which steps must not come from the cache.
    pub no_cache: NoCache,
    /// `--cache-from`: where results of other builds are looked up that the store does not have.
    pub cache_from: Vec<Arc<dyn Place>>,
    /// Opens the places again that earlier builds imported caches from.
    pub reopen: Reopen,
    /// `--cache-to`: where this build's results are written to.
    pub cache_to: Vec<CacheTarget>,
    /// True if this build's results are to be in the image's config, too (`--cache-to type=inline`).
    pub inline_cache: bool,
    /// `--network`: what a RUN without a `--network` of its own gets.
    pub network: Network,
    /// `--allow`: entitlements that the Dockerfile may ask for.
    pub allow: Allow,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// `--ssh`: agent sockets by id.
    pub ssh: BTreeMap<String, PathBuf>,
    /// `--add-host`: name and address.
    pub hosts: Vec<(String, String)>,
    /// `--shm-size`: bytes of /dev/shm; None for Docker's default.
    pub shm_size: Option<u64>,
    /// `--ulimit`: limits of the processes of RUN steps.
    pub ulimits: Vec<Ulimit>,
    /// `-t`.
    pub names: Vec<Reference>,
    /// `--output`, beside the image in the store.
    pub outputs: Vec<Output>,
    /// `rewrite-timestamp=true` of an output: no time in the image's own layers is after SOURCE_DATE_EPOCH.
    pub rewrite_times: bool,
    /// Where base images come from that are not in the store.
    pub registry: Registry,
    /// `--pull`: when a registry is asked for a base image.
    pub pull: Policy,
    /// What names must mean, and where that is written down; None without a lock.
    pub lock: Option<Lock>,
    /// How caches with `sharing=locked` are written.
    pub locked_caches: Locked,
    /// On the way to downloads; git looks for its own.
    pub proxies: Proxies,
    /// The bound on steps that run at the same time.
    pub parallel: usize,
    /// True if the outputs of steps that come from the cache are shown again (`--replay-logs`).
    pub replay_logs: bool,
}

/// What opens a place again; None for one that cannot be opened here any more.
#[derive(Clone)]
pub struct Reopen(Arc<OpenPlace>);

type OpenPlace = dyn Fn(&Address) -> Option<Arc<dyn Place>> + Send + Sync;

impl Reopen {
    /// By `open`, which makes no connection.
    pub fn by(open: impl Fn(&Address) -> Option<Arc<dyn Place>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    pub(crate) fn place(&self, address: &Address) -> Option<Arc<dyn Place>> {
        (self.0)(address)
    }
}

impl std::fmt::Debug for Reopen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reopen(..)")
    }
}

/// The build context.
#[derive(Debug, Clone)]
pub enum ContextArg {
    /// A folder.
    Folder(PathBuf),
    /// On standard input: a tar archive, compressed or not, or a Dockerfile alone, without files.
    Stdin,
    /// A git repository, or what `http://` or `https://` gives: a tar archive or a Dockerfile.
    Remote(String),
}

/// A `--build-context` that is no image.
#[derive(Debug, Clone)]
pub enum NamedSource {
    /// A folder.
    Folder(PathBuf),
    /// A git repository, or a URL of a tar archive or of another file.
    Remote(String),
}

/// No Dockerfile is larger, in bytes: BuildKit's clients take no more in one message.
pub(crate) const MAX_DOCKERFILE: u64 = 16 << 20;

/// The Dockerfile.
#[derive(Debug, Clone)]
pub enum DockerfileArg {
    /// `Dockerfile`, or `dockerfile`, at the top of the context.
    Default,
    /// A path as the user gave it: of this machine for a folder context, inside the archive for a tar.
    Path(PathBuf),
    /// Its text, already read.
    Text(Vec<u8>),
}

impl DockerfileArg {
    /// Reads the text to its end.
    ///
    /// # Errors
    /// It cannot be read, or there are more than 16 MiB of it.
    pub fn read(from: impl Read) -> io::Result<Self> {
        crate::inputs::read_text(from).map(Self::Text)
    }
}

/// Which steps must run although their result is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCache {
    /// None.
    Off,
    /// All of them.
    All,
    /// Those of the stages with these names (lower case).
    Stages(Vec<String>),
}

/// One `--cache-to`.
#[derive(Debug, Clone)]
pub struct CacheTarget {
    /// Where to.
    pub place: Arc<dyn Place>,
    /// How much.
    pub mode: CacheMode,
    /// Of the layers.
    pub compression: Compression,
    /// True if the build succeeds even if this fails (`ignore-error=true`).
    pub ignore_errors: bool,
}

/// Which layers travel along with the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Those of the image.
    Min,
    /// Those of all steps.
    Max,
}

/// `--network` of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The host's.
    Host,
    /// Loopback only.
    None,
}

/// Entitlements.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allow {
    /// `security.insecure`.
    pub insecure: bool,
    /// `network.host`.
    pub network_host: bool,
}

/// Where a secret's bytes are.
#[derive(Clone)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// In memory (it came from an environment variable).
    Value(Vec<u8>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value(..)"),
        }
    }
}

/// `--output`.
#[derive(Debug, Clone)]
pub struct Output {
    /// What is written.
    pub kind: OutputKind,
    /// Where to.
    pub dest: Dest,
}

/// The forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// A tar for `docker load` that is an OCI layout as well.
    Docker,
    /// An OCI layout in a tar.
    Oci,
    /// An OCI layout in a folder (`type=oci,tar=false`).
    OciFolder,
    /// The files of the image in a tar.
    Tar,
    /// The files of the image in a folder.
    Local,
}

/// Where an output goes.
#[derive(Debug, Clone)]
pub enum Dest {
    /// A file or folder.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}
