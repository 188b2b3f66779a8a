//! What a source says about one of its entries.

use std::os::fd::{AsFd, BorrowedFd};

use rbuild_image::layer::Owners;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, statx};
use rustix::io::Errno;
use rustix::path::Arg;

/// A point in time of a file system: seconds since 1970 and nanoseconds below a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime {
    /// Seconds since 1970; negative before.
    pub secs: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

/// The types of directory entries that can be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
    /// A socket. A folder of the host shows it as an empty file instead.
    Socket,
}

/// Metadata of an entry, as `statx` without following links has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Its type.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky; no type bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a regular file, otherwise 0.
    pub size: u64,
    /// Modification of the content.
    pub mtime: FileTime,
    /// Last change of anything; no program can set it.
    pub ctime: FileTime,
    /// Creation of the inode, where the file system keeps it.
    pub btime: Option<FileTime>,
    /// Device and inode, unique while the file exists.
    pub inode: Inode,
    /// Number of names of the inode.
    pub links: u32,
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

/// Identity of a file on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Inode {
    /// Device number of the file system, major in the upper half.
    pub device: u64,
    /// Inode number.
    pub number: u64,
}

impl Meta {
    /// Metadata of `path` below `dir`, without following a link. An empty path is `dir` itself.
    pub(crate) fn at(dir: impl AsFd, path: impl Arg) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
        statx(dir, path, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME).map(|stat| Self::from(&stat))
    }

    /// As [`Meta::at`], with the owner from where it is kept.
    pub(crate) fn owned_at(dir: BorrowedFd<'_>, path: &[u8], owners: Owners) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
        let stat = statx(dir, path, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        owners.noted(dir, path, stat).map(|stat| Self::from(&stat))
    }

    /// The root of a file system that has no layers.
    pub(crate) const fn of_nothing() -> Self {
        let epoch = FileTime { secs: 0, nanos: 0 };
        Self {
            kind: Kind::Dir,
            mode: 0o755,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: epoch,
            ctime: epoch,
            btime: None,
            inode: Inode { device: 0, number: 0 },
            links: 1,
            device: (0, 0),
        }
    }

    /// Whether this is still the entry that `earlier` described: same inode, and nothing written since.
    pub(crate) fn unchanged_since(&self, earlier: &Self) -> bool {
        self.inode == earlier.inode && self.size == earlier.size && self.mtime == earlier.mtime
    }
}

impl From<&Statx> for Meta {
    fn from(stat: &Statx) -> Self {
        let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::RegularFile | FileType::Unknown => Kind::File,
        };
        let time = |t: rustix::fs::StatxTimestamp| FileTime { secs: t.tv_sec, nanos: t.tv_nsec };
        let has_btime = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Self {
            kind,
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: if kind == Kind::File { stat.stx_size } else { 0 },
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
            btime: has_btime.then(|| time(stat.stx_btime)),
            inode: Inode {
                device: u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor),
                number: stat.stx_ino,
            },
            links: stat.stx_nlink,
            device: (stat.stx_rdev_major, stat.stx_rdev_minor),
        }
    }
}
