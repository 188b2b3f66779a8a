//! What is written down about a kept failed step.

use rbuild_image::digest::LayerId;
use rbuild_runtime::ulimit::Ulimit;
use serde::{Deserialize, Serialize};

use crate::explain::BuildId;
use crate::key::RunNetworkKey;

/// A kept failed step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The build that failed.
    pub build: BuildId,
    /// The step's number in it, from 1.
    pub number: usize,
    /// `[build 2/5] RUN make`.
    pub title: String,
    /// The Dockerfile: an absolute path, or `-` for standard input.
    pub dockerfile: String,
    /// The instruction's first line in it.
    pub line: u32,
    /// Why it failed.
    pub message: String,
    /// What it started from, the lowest first.
    pub layers: Vec<LayerId>,
    /// What its program saw.
    pub scene: Scene,
}

/// What surrounds a program, beside its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scene {
    /// SHELL of the stage.
    pub shell: Vec<String>,
    /// ENV and ARG.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub workdir: String,
    /// `user[:group]`; empty for root.
    pub user: String,
    /// Name of the machine.
    pub hostname: String,
    /// What it reaches.
    pub network: RunNetworkKey,
    /// With all capabilities.
    pub insecure: bool,
    /// Bytes of /dev/shm; None for docker's default.
    pub shm_size: Option<u64>,
    /// `--ulimit`.
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    /// `--add-host`: names and addresses.
    pub hosts: Vec<(String, String)>,
    /// A heredoc that is a program: name and text.
    pub script: Option<(String, String)>,
    /// Mounts of the instruction.
    pub mounts: Vec<KeptMount>,
}

/// A mount of a kept step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptMount {
    /// Absolute path in the container.
    pub target: String,
    /// What is mounted.
    pub source: KeptSource,
}

/// What a kept step has mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptSource {
    /// Files that were put into a layer.
    Bind {
        /// The layer.
        layer: LayerId,
        /// Where they are in it.
        path: String,
        /// Writes are allowed, and thrown away.
        writable: bool,
    },
    /// A cache as it is when somebody looks; what is written to it is thrown away.
    Cache {
        /// Its folder's name.
        folder: String,
        /// The folder inside of it that is mounted.
        path: String,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; None for the kernel's default.
        size: Option<u64>,
    },
}

impl Kept {
    /// The name under which the store has it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{:05}", self.build, self.number)
    }

    /// Every layer that it needs: those it stands on, and those of its mounts.
    #[must_use]
    pub fn all_layers(&self) -> Vec<LayerId> {
        let of_mounts = self.scene.mounts.iter().filter_map(|mount| match mount.source {
            KeptSource::Bind { layer, .. } => Some(layer),
            KeptSource::Cache { .. } | KeptSource::Tmpfs { .. } => None,
        });
        self.layers.iter().copied().chain(of_mounts).collect()
    }
}
