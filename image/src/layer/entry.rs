//! One entry of a layer.

use rustix::fs::{FileType, Statx, StatxFlags};

use crate::time::Timestamp;

/// The attribute with a program's file capabilities: the only one that layers carry (spec 8.1).
pub(crate) const CAPABILITY: &str = "security.capability";

/// What a layer says about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the layer's root, without a leading or trailing slash, never empty.
    pub path: Vec<u8>,
    /// File, directory, ...
    pub kind: EntryKind,
    /// Permissions with setuid, setgid and sticky: at most 0o7777. 0 for whiteouts, 0o777 for symlinks.
    pub mode: u32,
    /// Owner; 0 for whiteouts.
    pub uid: u32,
    /// Group; 0 for whiteouts.
    pub gid: u32,
    /// Modification time; the epoch for whiteouts.
    pub mtime: Timestamp,
    /// The value of `security.capability`.
    pub capability: Option<Vec<u8>>,
}

impl Entry {
    /// One that hides what is below.
    pub fn whiteout(path: Vec<u8>) -> Self {
        let kind = EntryKind::Whiteout;
        Self { path, kind, mode: 0, uid: 0, gid: 0, mtime: Timestamp::EPOCH, capability: None }
    }
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
    },
    /// A directory.
    Dir {
        /// Hides what lower layers have below this path.
        opaque: bool,
    },
    /// A symbolic link and its target, as it is.
    Symlink(Vec<u8>),
    /// Another name of an entry that came earlier in canonical order: its path.
    Hardlink(Vec<u8>),
    /// A character device (never 0:0, which is a whiteout).
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// Lower layers' entry at this path is gone.
    Whiteout,
}

/// What `statx` is asked for.
pub(crate) const STATX: StatxFlags = StatxFlags::BASIC_STATS;

pub(crate) fn mtime(stat: &Statx) -> Timestamp {
    Timestamp::new(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec)
}

pub(crate) fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

pub(crate) fn permissions(stat: &Statx) -> u32 {
    u32::from(stat.stx_mode) & 0o7777
}

/// Whether this is how overlayfs writes a removed path.
pub(crate) fn is_whiteout(stat: &Statx) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.stx_rdev_major == 0 && stat.stx_rdev_minor == 0
}
