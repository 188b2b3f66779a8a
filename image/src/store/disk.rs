//! How much of the disk trees take: blocks, not lengths, and a file with several names once.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, FileType, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::layer::{names, open_below};

/// `statx` counts in these, whatever the file system's own blocks are.
const STATX_BLOCK: u64 = 512;

/// Adds up trees.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Of files with several names: the bytes, and how many of the names were not met yet.
    linked: HashMap<(u32, u32, u64), (u64, u32)>,
}

impl Meter {
    /// The bytes that the tree at `path` takes, without those files that an earlier tree of this meter has, too.
    pub(super) fn add(&mut self, dir: BorrowedFd<'_>, path: &str) -> Result<u64, Errno> {
        let mut pending = vec![path.as_bytes().to_vec()];
        let mut bytes = self.entry(dir, path.as_bytes())?.0;
        while let Some(path) = pending.pop() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = match open_below(dir, &path, flags) {
                Ok(below) => below,
                // A file; or something that is being removed.
                Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => continue,
                Err(error) => return Err(error),
            };
            let inside = match names(below.as_fd()) {
                // It was removed after it was opened.
                Err(Errno::NOENT) => continue,
                inside => inside?,
            };
            for (name, _) in inside {
                let (size, is_dir) = self.entry(below.as_fd(), name.to_bytes())?;
                bytes += size;
                if is_dir {
                    pending.push([&path[..], b"/", CStr::to_bytes(&name)].concat());
                }
            }
        }
        Ok(bytes)
    }

    /// The bytes of files that were met, but not under all of their names: removing what was added does not free
    /// them.
    pub(super) fn held_elsewhere(&self) -> u64 {
        self.linked.values().filter(|(_, left)| *left > 0).map(|(bytes, _)| bytes).sum()
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<(u64, bool), Errno> {
        let stat = match fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok((0, false)),
            Err(error) => return Err(error),
        };
        let bytes = stat.stx_blocks * STATX_BLOCK;
        if FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory {
            return Ok((bytes, true));
        }
        if stat.stx_nlink > 1 {
            let inode = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
            if let Some((_, left)) = self.linked.get_mut(&inode) {
                *left = left.saturating_sub(1);
                return Ok((0, false));
            }
            self.linked.insert(inode, (bytes, stat.stx_nlink - 1));
        }
        Ok((bytes, false))
    }
}

/// The modification time in seconds; None when the file is gone.
pub(super) fn modified(dir: BorrowedFd<'_>, path: &str) -> Result<Option<i64>, Errno> {
    match fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat.st_mtime)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
