//! The records.

use rbuild_image::digest::{LayerId, RecordKey};
use rbuild_image::time::Timestamp;
use rbuild_parser::plan::{Chmod, Root, RunNetwork, Sharing};
use rbuild_runtime::ulimit::Ulimit;
use serde::{Deserialize, Serialize};

/// Version of the records. A change of what is in a key, or of what it means, needs a new one.
pub const FORMAT: u32 = 3;

/// Everything that a step's result depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepKey {
    /// [`FORMAT`].
    pub format: u32,
    /// Digest of the chain the step starts from; None where it does not matter (`COPY --link`).
    pub parent: Option<String>,
    /// The step itself.
    #[serde(flatten)]
    pub kind: StepKeyKind,
}

/// The kinds of steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKeyKind {
    /// RUN.
    Run(RunKey),
    /// COPY and ADD.
    Copy(CopyKey),
    /// WORKDIR.
    Workdir(WorkdirKey),
}

/// What a RUN depends on, beside its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the table above says what each is")]
pub struct RunKey {
    pub platform: String,
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub workdir: String,
    pub user: String,
    pub network: RunNetworkKey,
    pub insecure: bool,
    pub mounts: Vec<MountKey>,
    pub script: Option<(String, String)>,
    pub hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<Ulimit>,
}

/// The network a RUN gets, the default resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunNetworkKey {
    /// The host's.
    Host,
    /// Loopback only.
    None,
}

impl RunNetworkKey {
    /// What a `RUN --network` means in a build with this default.
    #[must_use]
    pub fn resolve(flag: RunNetwork, default: crate::request::Network) -> Self {
        match (flag, default) {
            (RunNetwork::None, _) | (RunNetwork::Default, crate::request::Network::None) => Self::None,
            (RunNetwork::Host, _) | (RunNetwork::Default, crate::request::Network::Host) => Self::Host,
        }
    }
}

/// One mount of a RUN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountKey {
    /// Where.
    pub target: Option<String>,
    /// What.
    #[serde(flatten)]
    pub kind: MountKeyKind,
}

/// What a mount contributes to a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
#[expect(missing_docs, reason = "named as in the Dockerfile")]
pub enum MountKeyKind {
    /// The digest of the files, wherever they come from.
    Bind { content: String, writable: bool },
    /// Its name, the folder in it, and what it is made with when it is new; never what is in it.
    Cache {
        id: String,
        sharing: SharingKey,
        readonly: bool,
        source: String,
        /// Digest of the files that a new cache starts with.
        start: Option<String>,
        /// uid, gid and mode of a new cache.
        owner: Option<(u32, u32, u32)>,
    },
    /// Its size.
    Tmpfs { size: Option<u64> },
    /// How it is presented; never its value.
    Secret { id: String, env: Option<String>, required: bool, mode: u32, uid: u32, gid: u32 },
    /// How it is presented.
    Ssh { id: String, required: bool, mode: u32, uid: u32, gid: u32 },
}

/// `sharing=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named as in the Dockerfile")]
pub enum SharingKey {
    Shared,
    Private,
    Locked,
}

impl From<Sharing> for SharingKey {
    fn from(sharing: Sharing) -> Self {
        match sharing {
            Sharing::Shared => Self::Shared,
            Sharing::Private => Self::Private,
            Sharing::Locked => Self::Locked,
        }
    }
}

/// What a COPY or ADD depends on, beside its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the table above says what each is")]
pub struct CopyKey {
    pub add: bool,
    pub origin: Origin,
    pub dest: String,
    pub chown: Option<String>,
    pub chmod: Option<String>,
    pub link: bool,
    pub parents: bool,
    pub exclude: Vec<String>,
    pub unpack: Option<bool>,
    /// Digest over everything that the sources select, as it will be written.
    pub content: String,
}

/// Where the files of a copy come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A build context.
    Context,
    /// A stage or an image.
    Layers,
}

impl Origin {
    /// What the files of a state are.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        match root {
            Root::MainContext | Root::NamedContext(_) => Self::Context,
            Root::Scratch | Root::Base(_) | Root::Step(_) => Self::Layers,
        }
    }
}

/// The text of a `--chmod`.
#[must_use]
pub(crate) fn chmod_text(chmod: &Chmod) -> String {
    match chmod {
        Chmod::Octal(mode) => format!("{mode:o}"),
        Chmod::Symbolic(text) => text.clone(),
    }
}

/// What a WORKDIR depends on, beside its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the table above says what each is")]
pub struct WorkdirKey {
    pub path: String,
    pub user: String,
    pub epoch: Option<i64>,
}

impl StepKey {
    /// The digest under which the step's record is stored.
    #[must_use]
    pub fn digest(&self) -> RecordKey {
        let json = serde_json::to_vec(self).expect("the record has only strings, numbers and lists");
        let mut hasher = blake3::Hasher::new_derive_key("rbuild 2026 step key");
        hasher.update(&json);
        RecordKey(*hasher.finalize().as_bytes())
    }
}

/// What is stored under a key: the key's own record and the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The layer that the step made.
    pub layer: LayerId,
    /// When it was made: the history's `created`.
    pub created: Timestamp,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// True if its output was kept, under the same key.
    pub log: bool,
    /// What the key is the digest of.
    pub key: StepKey,
}
