//! What we are, and what this machine allows.

use std::sync::OnceLock;

/// How this process isolates others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Root of the machine.
    Root,
    /// Root of a user namespace.
    Rootless(Ids),
    /// Neither: no namespaces can be made.
    Bare,
}

/// The ids that a user namespace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Lent by `/etc/subuid`: images' users are told apart.
    Ranges,
    /// Only our own, as root.
    Single,
}

/// What [`probe`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// How processes are isolated.
    pub mode: Mode,
    /// The kernel knows overlayfs.
    pub overlay: bool,
}

impl Capabilities {
    /// Files and processes can belong to other users than root.
    #[must_use]
    pub fn maps_many_ids(self) -> bool {
        matches!(self.mode, Mode::Root | Mode::Rootless(Ids::Ranges))
    }
}

/// Finds out what this process is and may do. Reads `/proc` only.
#[must_use]
pub fn probe() -> Capabilities {
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let overlay = filesystems.lines().any(|line| line.ends_with("\toverlay"));
    let is_root = rustix::process::geteuid().is_root();
    let mode = match (is_root, in_user_namespace()) {
        (true, false) => Mode::Root,
        (true, true) => Mode::Rootless(if mapped_ids() > 1 { Ids::Ranges } else { Ids::Single }),
        (false, _) => Mode::Bare,
    };
    Capabilities { mode, overlay }
}

/// Whether we are in a user namespace other than the first: root here is not root of the machine.
#[must_use]
pub fn in_user_namespace() -> bool {
    static IN: OnceLock<bool> = OnceLock::new();
    *IN.get_or_init(|| {
        let map = uid_map();
        map.split_ascii_whitespace().ne(["0", "0", "4294967295"])
    })
}

/// Whether we are in a user namespace with one id: nobody can be anybody else there.
#[must_use]
pub fn has_single_id() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| in_user_namespace() && mapped_ids() == 1)
}

fn mapped_ids() -> u64 {
    uid_map().lines().filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok()).sum()
}

fn uid_map() -> String {
    std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default()
}
