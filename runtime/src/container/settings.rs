//! What the user asked for: the options of `run` as plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::sandbox::Network;
use crate::ulimit::Ulimit;

/// How a container is to differ from what its image says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSettings {
    /// Program and arguments in place of the image's CMD; empty for the image's.
    pub command: Vec<String>,
    /// In place of the image's ENTRYPOINT, and then its CMD is not used either; empty for no entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// Variables beside those of the image; of one name the last wins.
    pub env: Vec<(String, String)>,
    /// Name of the container; generated when None.
    pub name: Option<String>,
    /// Name of the machine; None for the host's, or the short id where the network is separate.
    pub hostname: Option<String>,
    /// Working directory, absolute, in place of the image's.
    pub workdir: Option<String>,
    /// `user[:group]` in place of the image's.
    pub user: Option<String>,
    /// Groups beyond those that the image gives the user, names or numbers.
    pub extra_groups: Vec<String>,
    /// `-v`.
    pub volumes: Vec<Volume>,
    /// `--tmpfs`.
    pub tmpfs: Vec<Tmpfs>,
    /// `--network`.
    pub network: Network,
    /// Process 1 is rbuild's own init, which reaps and forwards signals.
    pub init: bool,
    /// All capabilities, no filter, nothing masked.
    pub privileged: bool,
    /// `--cap-add`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// `--security-opt no-new-privileges`.
    pub no_new_privileges: bool,
    /// A root file system without writes.
    pub read_only: bool,
    /// Bytes of /dev/shm; None for docker's 64 MiB.
    pub shm_size: Option<u64>,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// Our standard input goes to the program.
    pub interactive: bool,
    /// The program gets a terminal.
    pub tty: bool,
    /// The container is removed when its program has ended.
    pub remove: bool,
}

/// One `-v`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// What is mounted.
    pub source: VolumeSource,
    /// Absolute path in the container.
    pub target: String,
    /// No writes.
    pub readonly: bool,
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeSource {
    /// An absolute path of the host; made as a folder when nothing is there.
    Host(PathBuf),
    /// A volume of the store, which any number of containers share; made, with what the image has at the target,
    /// when it is not there.
    Named(String),
    /// One that belongs to the container and begins with what the image has at the target.
    Anonymous,
}

/// One `--tmpfs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Absolute path in the container.
    pub target: String,
    /// Bytes; None for the kernel's default, half of the memory.
    pub size: Option<u64>,
    /// Permissions of its root; None for 1777.
    pub mode: Option<u32>,
    /// No writes.
    pub readonly: bool,
}
