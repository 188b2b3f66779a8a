//! Owners of a layer's files, and where they are kept.
//!
//! Root and a user with ranges of ids give files to others with `chown`. Where the kernel maps one id only, everything
//! that we make is ours, and `chown` to anybody else is refused: there the owner is a note on the file. A file without a
//! note is root's. Notes are on the inode, so they go where it goes: renames, hard links, and overlayfs, which copies
//! them up with the file.
//!
//! - Regular files and directories carry `user.rbuild.owner`, whose value is `uid:gid` in decimal.
//! - Other inodes take no `user.` attributes. What they take of a user namespace's root is `security.capability`, which
//!   means nothing on anything but a program: there the two ids lie in the inheritable sets.
//!
//! Neither of them is part of a layer: who reads a layer sees the owner in its place.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{self, AtFlags, FileType, Gid, Statx, Uid, XattrFlags};
use rustix::io::Errno;

use super::entry::{CAPABILITY, file_type};

/// The note on regular files and directories.
const NOTE: &str = "user.rbuild.owner";
/// What the names of all attributes begin with that are ours, and no file's own.
pub(crate) const OUR_ATTRIBUTES: &str = "user.rbuild.";

/// `VFS_CAP_REVISION_2`, and the length of such a value; one of revision 3 has another id at its end.
const CAPABILITY_REVISION_2: u32 = 0x0200_0000;
const CAPABILITY_LENGTH: usize = 20;
/// Where the inheritable sets' halves are in it.
const INHERITABLE: [usize; 2] = [8, 16];

/// Whom a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// 0:0.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    fn to_note(self) -> String {
        format!("{}:{}", self.uid, self.gid)
    }

    fn from_note(note: &[u8]) -> Option<Self> {
        let (uid, gid) = std::str::from_utf8(note).ok()?.split_once(':')?;
        Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    }

    fn to_capability(self) -> [u8; CAPABILITY_LENGTH] {
        let mut value = [0; CAPABILITY_LENGTH];
        value[..4].copy_from_slice(&CAPABILITY_REVISION_2.to_le_bytes());
        for (at, id) in INHERITABLE.into_iter().zip([self.uid, self.gid]) {
            value[at..at + 4].copy_from_slice(&id.to_le_bytes());
        }
        value
    }

    fn from_capability(value: &[u8]) -> Option<Self> {
        let id = |at: usize| Some(u32::from_le_bytes(value.get(at..at + 4)?.try_into().ok()?));
        Some(Self { uid: id(INHERITABLE[0])?, gid: id(INHERITABLE[1])? })
    }
}

/// Where owners are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// In the inode, as ever.
    Inode,
    /// In notes, because everything is ours as far as the kernel knows.
    Notes,
    /// Nowhere: everything stays ours.
    Nowhere,
}

impl Owners {
    /// `statx` of a name in a directory, not following a symlink, with the owner that the file has for us.
    pub(crate) fn stat_at(self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<Statx, Errno> {
        self.noted(dir, name, super::fs::stat_at_bytes(dir, name)?)
    }

    /// The same of an open file.
    pub(crate) fn stat(self, fd: BorrowedFd<'_>) -> Result<Statx, Errno> {
        self.noted(fd, b"", super::fs::stat(fd)?)
    }

    /// Puts the owner into what `statx` said of `name` in `dir`; an empty name is `dir` itself, which may be anything
    /// and open for nothing (`O_PATH`).
    ///
    /// # Errors
    /// A system call fails.
    pub fn noted(self, dir: BorrowedFd<'_>, name: &[u8], mut stat: Statx) -> Result<Statx, Errno> {
        if self == Self::Notes
            && let Some(owner) = read(&place(dir, name), file_type(&stat))?
        {
            (stat.stx_uid, stat.stx_gid) = (owner.uid, owner.gid);
        }
        Ok(stat)
    }

    /// Whom an open file or directory belongs to.
    ///
    /// # Errors
    /// A system call fails.
    pub fn owner(self, fd: BorrowedFd<'_>) -> Result<Owner, Errno> {
        self.stat(fd).map(|stat| Owner { uid: stat.stx_uid, gid: stat.stx_gid })
    }

    /// Gives an open file or directory to somebody.
    ///
    /// # Errors
    /// A system call fails.
    pub fn give(self, fd: BorrowedFd<'_>, owner: Owner) -> Result<(), Errno> {
        match self {
            Self::Inode => fs::fchown(fd, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid))),
            Self::Notes => write(&Place::Open(fd), FileType::RegularFile, owner),
            Self::Nowhere => Ok(()),
        }
    }

    /// Gives `name` in `dir`, which is of this kind, to somebody; an empty name is `dir` itself, which may be open for
    /// nothing (`O_PATH`).
    ///
    /// # Errors
    /// A system call fails.
    pub fn give_at(
        self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        kind: FileType,
        owner: Owner,
    ) -> Result<(), Errno> {
        match self {
            Self::Inode => {
                let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
                let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
                fs::chownat(dir, name, Some(uid), Some(gid), flags)
            }
            Self::Notes => write(&place(dir, name), kind, owner),
            Self::Nowhere => Ok(()),
        }
    }
}

/// The note on an inode of this kind, to which `path` leads: one of the links in `/proc/PID/fd`.
///
/// # Errors
/// A system call fails.
pub fn noted_behind(path: &str, kind: FileType) -> Result<Option<Owner>, Errno> {
    read(&Place::Itself(path.to_owned()), kind)
}

/// Puts a note on an inode of this kind, to which `path` leads: one of the links in `/proc/PID/fd`.
///
/// # Errors
/// A system call fails.
pub fn note_behind(path: &str, kind: FileType, owner: Owner) -> Result<(), Errno> {
    write(&Place::Itself(path.to_owned()), kind, owner)
}

/// A path to what is open, or to a name in it, that leads there in whatever way it is open.
enum Place<'a> {
    /// A regular file or directory that is open for more than `O_PATH`.
    Open(BorrowedFd<'a>),
    /// A link of `/proc` to the inode itself: only following it leads there.
    Itself(String),
    /// Not to be followed if it is a link.
    Below(Vec<u8>),
}

fn place(dir: BorrowedFd<'_>, name: &[u8]) -> Place<'static> {
    let open = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    if name.is_empty() {
        return Place::Itself(open);
    }
    let mut path = open.into_bytes();
    path.push(b'/');
    path.extend_from_slice(name);
    Place::Below(path)
}

/// Regular files and directories, which take attributes of users.
fn takes_notes(kind: FileType) -> bool {
    matches!(kind, FileType::RegularFile | FileType::Directory)
}

fn read(place: &Place<'_>, kind: FileType) -> Result<Option<Owner>, Errno> {
    if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
        return Ok(None);
    }
    let attribute = if takes_notes(kind) { NOTE } else { CAPABILITY };
    let mut value = [0; 64];
    let length = match place {
        Place::Open(fd) => fs::fgetxattr(fd, attribute, &mut value),
        Place::Itself(path) => fs::getxattr(path, attribute, &mut value),
        Place::Below(path) => fs::lgetxattr(path.as_slice(), attribute, &mut value),
    };
    let value = match length {
        Ok(length) => &value[..length],
        // None, or none of ours.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(if takes_notes(kind) { Owner::from_note(value) } else { Owner::from_capability(value) })
}

fn write(place: &Place<'_>, kind: FileType, owner: Owner) -> Result<(), Errno> {
    let attribute = if takes_notes(kind) { NOTE } else { CAPABILITY };
    if owner == Owner::ROOT {
        let removed = match place {
            Place::Open(fd) => fs::fremovexattr(fd, attribute),
            Place::Itself(path) => fs::removexattr(path, attribute),
            Place::Below(path) => fs::lremovexattr(path.as_slice(), attribute),
        };
        return match removed {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            other => other,
        };
    }
    let value = if takes_notes(kind) { owner.to_note().into_bytes() } else { owner.to_capability().to_vec() };
    match place {
        Place::Open(fd) => fs::fsetxattr(fd, attribute, &value, XattrFlags::empty()),
        Place::Itself(path) => fs::setxattr(path, attribute, &value, XattrFlags::empty()),
        Place::Below(path) => fs::lsetxattr(path.as_slice(), attribute, &value, XattrFlags::empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_note_say_what_was_written() {
        for owner in [Owner::ROOT, Owner { uid: 1000, gid: 7 }, Owner { uid: u32::MAX - 1, gid: 65534 }] {
            assert_eq!(Owner::from_note(owner.to_note().as_bytes()), Some(owner));
            let mut value = owner.to_capability().to_vec();
            assert_eq!(Owner::from_capability(&value), Some(owner));
            // Seen from another user namespace, the kernel adds whose root it is.
            value.extend(1000_u32.to_le_bytes());
            assert_eq!(Owner::from_capability(&value), Some(owner));
        }
        for note in ["", "1", "1:", ":1", "-1:0", "1:2:3", "4294967296:0", "root:root"] {
            assert_eq!(Owner::from_note(note.as_bytes()), None, "{note}");
        }
    }
}
