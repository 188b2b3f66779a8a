//! What a sandbox is: plain data, handed to the re-executed rbuild in a sealed memfd.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::tty::WindowSize;
use crate::ulimit::Ulimit;

/// One isolated process and the world it sees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// Program and arguments. The program is looked up in the `PATH` of `env`, inside the rootfs.
    pub argv: Vec<String>,
    /// Environment, in order. HOME is added from the rootfs's passwd if it is not there.
    pub env: Vec<(String, String)>,
    /// Working directory; created (0755, owned by the user) when missing.
    pub workdir: String,
    /// `user[:group]` by name or number, looked up in the rootfs; empty for root.
    pub user: String,
    /// Groups beyond those the rootfs gives the user (`--group-add`), by name or number.
    pub extra_groups: Vec<String>,
    /// Name of the machine.
    pub hostname: String,
    /// The file system.
    pub rootfs: Rootfs,
    /// Mounts beyond the standard ones; applied sorted by target, a later definition of one target wins.
    pub mounts: Vec<Mount>,
    /// Network namespace.
    pub network: Network,
    /// `Default`: Docker's default capabilities and seccomp filter, masked and read-only paths.
    pub privilege: Privilege,
    /// Who is process 1.
    pub init: Init,
    /// The process gets a terminal of its own: a pty of the container's devpts, of this size from the beginning.
    pub terminal: Option<WindowSize>,
    /// Read-only root file system.
    pub readonly_rootfs: bool,
    /// Size of /dev/shm in bytes.
    pub shm_size: u64,
    /// Limits of the process; a later one of the same resource wins.
    pub ulimits: Vec<Ulimit>,
}

/// Where the root file system comes from. All paths are the host's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Rootfs {
    /// An overlay mounted in the sandbox's own mount namespace.
    Overlay {
        /// Layers from the uppermost to the lowest; at least one.
        lowers: Vec<PathBuf>,
        /// Takes the changes.
        upper: PathBuf,
        /// Overlayfs's work directory, empty, on the same file system as `upper`.
        work: PathBuf,
    },
    /// A folder used as it is.
    Dir(PathBuf),
}

/// A mount in the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the rootfs; symlinks are followed inside of it; created when missing.
    pub target: String,
    /// What is mounted there.
    pub source: MountSource,
    /// No writes.
    pub readonly: bool,
    /// The mount point, and parents that had to be made for it, are removed after the process has ended if
    /// they are still empty, and the parent gets its times back (spec 6.9).
    pub remove_stub: bool,
}

/// What is mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or folder of the host.
    Bind(PathBuf),
    /// A folder of the host seen through a throw-away overlay: writes vanish with the sandbox.
    Discard {
        /// Layers from the uppermost to the lowest.
        lowers: Vec<PathBuf>,
        /// Path inside of them that is mounted.
        source: String,
        /// Empty folder on the same file system for upper and work.
        scratch: PathBuf,
    },
    /// A folder of the host seen through an overlay that keeps the changes apart. Mounts with the same `upper` show
    /// one overlay.
    Overlay {
        /// Layers from the uppermost to the lowest.
        lowers: Vec<PathBuf>,
        /// Path inside of the overlay that is mounted.
        source: String,
        /// Takes the changes.
        upper: PathBuf,
        /// Overlayfs's work directory, empty, on the same file system as `upper`.
        work: PathBuf,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Bytes; None for the kernel's default.
        size: Option<u64>,
        /// Permissions of its root.
        mode: u32,
    },
    /// A file in memory that only this sandbox sees: secrets, hosts, resolv.conf, scripts.
    File {
        /// Its bytes.
        #[serde(with = "bytes")]
        data: Vec<u8>,
        /// Permissions.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// Network namespace of a sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's.
    #[default]
    Host,
    /// A new one with loopback only.
    None,
}

/// How much the process may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privilege {
    /// Docker's defaults, plus and minus named capabilities (`NET_ADMIN`, with or without `CAP_`, or `ALL`).
    Default {
        /// `--cap-add`.
        add: Vec<String>,
        /// `--cap-drop`.
        drop: Vec<String>,
        /// `--security-opt no-new-privileges`.
        no_new_privileges: bool,
    },
    /// `RUN --security=insecure`, `--privileged`: all capabilities, no filter, nothing masked.
    All,
}

/// Who is process 1 of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Init {
    /// rbuild's own init: forwards signals, reaps orphans, ends everything when the program ends.
    Reaper,
    /// The program itself, as `docker run` has it.
    Program,
}

/// Bytes as text with one letter (U+0000 to U+00FF) a byte: a list of numbers would be four times as long.
mod bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().copied().map(char::from).collect();
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.chars().map(|letter| u8::try_from(letter).map_err(de::Error::custom)).collect()
    }

    #[cfg(test)]
    mod tests {
        use crate::sandbox::MountSource;

        #[test]
        fn every_byte_survives() {
            let data: Vec<u8> = (0..=255).collect();
            let source = MountSource::File { data: data.clone(), mode: 0o400, uid: 1, gid: 2 };
            let text = serde_json::to_string(&source).unwrap();
            let MountSource::File { data: back, .. } = serde_json::from_str(&text).unwrap() else {
                panic!("{text}")
            };
            assert_eq!(back, data);
        }
    }
}
