//! A layer's tar, from wherever it came, as a directory in overlay form.
//!
//! Nothing in the archive is trusted. Every name is opened relative to a directory of the layer that was reached
//! without any symlink, so neither `..` nor a link that the archive itself planted leads out. What comes twice: the
//! last one stays, as with every tar.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::entry::{CAPABILITY, is_whiteout};
use super::error::{LayerError, ShownPath};
use super::flavour::Flavour;
use super::fs as at;
use super::owner::{OUR_ATTRIBUTES, Owner};
use super::remove::remove_tree;
use super::tar::{OPAQUE_NAME, WHITEOUT_PREFIX};
use super::tar_reader::{TarEntry, TarError, TarKind, TarReader};
use super::unpack_parents::Parents;
use crate::time::Timestamp;

/// What was taken out of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries, whiteouts included.
    pub entries: u64,
    /// Bytes of content that were written.
    pub bytes: u64,
    /// Devices that were left out, because a user namespace cannot make them.
    pub skipped_devices: u64,
    /// Directories that the archive puts something into and does not describe, the deepest first.
    pub implied: Vec<Vec<u8>>,
}

/// Unpacks a plain tar into an empty directory, reading the stream to its very end.
///
/// Parents that the archive leaves out become 0755 root:root until somebody knows what the layer lies on: see
/// [`Unpacked::implied`]. Hard links reach only what is in the same archive.
///
/// # Errors
/// When the archive is damaged or hostile, or something cannot be written. The directory is then to be thrown away.
pub fn unpack(tar: impl Read, into: BorrowedFd<'_>, flavour: Flavour) -> Result<Unpacked, LayerError> {
    Unpacker::new(into, flavour).all(tar)
}

/// What is set when nothing is put into a directory any more: its times would change again, and its mode may
/// forbid it, or hand its group down.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) capability: Option<Vec<u8>>,
}

/// What is known of a directory of the layer.
#[derive(Debug)]
pub(super) enum Look {
    /// The archive has an entry for it, or has removed what was there before.
    Described(Attributes),
    /// It is only the parent of entries.
    Implied,
}

/// The directories that entries are put into, by their paths.
pub(super) type Directories = BTreeMap<Vec<u8>, Look>;

impl Attributes {
    /// Of a directory of which nobody says anything.
    pub(super) const UNKNOWN: Self =
        Self { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::EPOCH, capability: None };
}

struct Unpacker<'a> {
    parents: Parents<'a>,
    directories: Directories,
    flavour: Flavour,
    own: (u32, u32),
    done: Unpacked,
    buffer: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    fn new(root: BorrowedFd<'a>, flavour: Flavour) -> Self {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self {
            parents: Parents::new(root, flavour),
            directories: Directories::new(),
            flavour,
            own,
            done: Unpacked::default(),
            buffer: vec![0; 128 * 1024],
        }
    }

    fn all(mut self, tar: impl Read) -> Result<Unpacked, LayerError> {
        let mut reader = TarReader::new(BufReader::with_capacity(128 * 1024, tar));
        while let Some(entry) = reader.next_entry()? {
            self.entry(&entry, &mut reader)?;
        }
        reader.drain()?;
        self.finish_directories()?;
        Ok(self.done)
    }

    fn entry(&mut self, entry: &TarEntry, content: &mut TarReader<impl Read>) -> Result<(), LayerError> {
        let path = clean(&entry.path)?;
        // The root directory belongs to no layer.
        if path.is_empty() {
            return Ok(());
        }
        self.done.entries += 1;
        let (dir, name) = at::split(&path);
        let parent = self.parents.open(dir, &entry.path, &mut self.directories)?;
        let spot = Spot { parent: parent.as_fd(), name, path: &path };
        if name == OPAQUE_NAME {
            return self.set_opaque(parent.as_fd(), dir);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) {
            return self.whiteout(hidden, dir, parent.as_fd(), &entry.path);
        }
        match &entry.kind {
            TarKind::File => self.file(&spot, entry, content),
            TarKind::Dir => self.directory(&spot, entry),
            TarKind::Symlink(target) => {
                self.replacing(&spot, "make the link", |spot| {
                    fs::symlinkat(&target[..], spot.parent, spot.name)
                })?;
                self.finish_special(&spot, entry, FileType::Symlink)
            }
            TarKind::Hardlink(target) => self.hard_link(&spot, target, &entry.path),
            TarKind::Fifo => {
                self.replacing(&spot, "make the pipe", |spot| spot.make(FileType::Fifo, 0))?;
                self.finish_special(&spot, entry, FileType::Fifo)
            }
            TarKind::Char(0, 0) => self.whiteout(name, dir, parent.as_fd(), &entry.path),
            TarKind::Char(..) | TarKind::Block(..) if self.flavour != Flavour::Trusted => {
                self.done.skipped_devices += 1;
                Ok(())
            }
            TarKind::Char(major, minor) => {
                self.device(&spot, entry, FileType::CharacterDevice, *major, *minor)
            }
            TarKind::Block(major, minor) => self.device(&spot, entry, FileType::BlockDevice, *major, *minor),
        }
    }

    fn file(
        &mut self,
        spot: &Spot<'_>,
        entry: &TarEntry,
        content: &mut TarReader<impl Read>,
    ) -> Result<(), LayerError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.replacing(spot, "create", |spot| {
            fs::openat(spot.parent, spot.name, flags, Mode::RUSR | Mode::WUSR)
        })?;
        match &entry.sparse {
            None => self.copy(content, &file, 0, entry.size, spot.path)?,
            Some(extents) => {
                for extent in extents {
                    self.copy(content, &file, extent.offset, extent.length, spot.path)?;
                }
                fs::ftruncate(&file, entry.size).map_err(LayerError::io("write", spot.path))?;
            }
        }
        self.finish(file.as_fd(), &attributes(entry), spot.path)?;
        // Attributes that programs of the image may look at; overlayfs's own are not for an archive to set.
        for (name, value) in entry.xattrs.iter().filter(|(name, _)| is_plain_attribute(name)) {
            match fs::fsetxattr(&file, name.as_str(), value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(LayerError::io("set an attribute of", spot.path)(error)),
            }
        }
        set_times(file.as_fd(), entry.mtime).map_err(LayerError::io("set the times of", spot.path))?;
        Ok(())
    }

    fn copy(
        &mut self,
        content: &mut TarReader<impl Read>,
        file: &OwnedFd,
        mut offset: u64,
        mut length: u64,
        path: &[u8],
    ) -> Result<(), LayerError> {
        while length > 0 {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            let count = match content.read(&mut self.buffer[..wanted]) {
                Ok(count) if count > 0 => count,
                Ok(_) => return Err(TarError::Truncated("a file").into()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(TarError::Truncated("a file").into());
                }
                Err(error) => return Err(TarError::Read(error).into()),
            };
            at::write_at(file.as_fd(), &self.buffer[..count], offset)
                .map_err(LayerError::io("write", path))?;
            offset += count as u64;
            length -= count as u64;
            self.done.bytes += count as u64;
        }
        Ok(())
    }

    fn directory(&mut self, spot: &Spot<'_>, entry: &TarEntry) -> Result<(), LayerError> {
        self.parents.make(spot.parent, spot.name, spot.path)?;
        self.directories.insert(spot.path.to_vec(), Look::Described(attributes(entry)));
        Ok(())
    }

    fn hard_link(&mut self, spot: &Spot<'_>, target: &[u8], shown: &[u8]) -> Result<(), LayerError> {
        let target = clean(target)?;
        if target == spot.path {
            return Ok(());
        }
        let (dir, name) = at::split(&target);
        let missing = || {
            LayerError::entry(shown, format!("is a hard link to {}, which is not there", ShownPath(&target)))
        };
        let from = match self.parents.open_existing(dir) {
            Ok(from) if at::stat_at_bytes(from.as_fd(), name).is_ok_and(|stat| !is_whiteout(&stat)) => from,
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(missing()),
            Err(error) => return Err(LayerError::io("open", &target)(error)),
        };
        self.replacing(spot, "link", |spot| fs::linkat(&from, name, spot.parent, spot.name, AtFlags::empty()))
    }

    fn device(
        &mut self,
        spot: &Spot<'_>,
        entry: &TarEntry,
        kind: FileType,
        major: u32,
        minor: u32,
    ) -> Result<(), LayerError> {
        let device = fs::makedev(major, minor);
        self.replacing(spot, "make the device", |spot| spot.make(kind, device))?;
        self.finish_special(spot, entry, kind)
    }

    fn whiteout(
        &mut self,
        hidden: &[u8],
        dir: &[u8],
        parent: BorrowedFd<'_>,
        shown: &[u8],
    ) -> Result<(), LayerError> {
        // Other names that begin so are aufs's own bookkeeping.
        if hidden.starts_with(WHITEOUT_PREFIX) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(LayerError::entry(shown, "is a whiteout of no file"));
        }
        let path = at::join(dir, hidden)?;
        let spot = Spot { parent, name: hidden, path: &path };
        match spot.make(FileType::CharacterDevice, 0) {
            // Where nothing is below, the kernel would list it otherwise.
            Ok(()) => fs::fsetxattr(parent, self.flavour.origin(), b"", XattrFlags::empty())
                .map_err(LayerError::io("change the attributes of", dir)),
            // What the same layer brings stays, and hides what is below: a directory does so by being opaque.
            Err(Errno::EXIST) => match fs::openat(parent, hidden, at::DIR, Mode::empty()) {
                Ok(dir) => {
                    if let Some(look @ Look::Implied) = self.directories.get_mut(&path) {
                        *look = Look::Described(Attributes::UNKNOWN);
                    }
                    self.set_opaque(dir.as_fd(), &path)
                }
                Err(_) => Ok(()),
            },
            Err(error) => Err(LayerError::io("make a whiteout for", &path)(error)),
        }
    }

    fn set_opaque(&self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<(), LayerError> {
        fs::fsetxattr(dir, self.flavour.opaque(), b"y", XattrFlags::empty())
            .map_err(LayerError::io("make opaque", path))
    }

    /// Makes something, in the place of whatever has its name.
    fn replacing<T>(
        &mut self,
        spot: &Spot<'_>,
        action: &'static str,
        make: impl Fn(&Spot<'_>) -> Result<T, Errno>,
    ) -> Result<T, LayerError> {
        match make(spot) {
            Err(Errno::EXIST) => {
                remove_tree(spot.parent, spot.name).map_err(LayerError::io("replace", spot.path))?;
                self.forget(spot.path);
                Ok(make(spot).map_err(LayerError::io(action, spot.path))?)
            }
            other => Ok(other.map_err(LayerError::io(action, spot.path))?),
        }
    }

    fn forget(&mut self, path: &[u8]) {
        self.parents.forget();
        self.directories.retain(|dir, _| !is_within(dir, path));
    }

    /// Owner, mode and capabilities, in the order in which one does not undo the other.
    fn finish(&self, file: BorrowedFd<'_>, with: &Attributes, path: &[u8]) -> Result<(), LayerError> {
        if (with.uid, with.gid) != self.own {
            let given = self.flavour.owners().give(file, Owner { uid: with.uid, gid: with.gid });
            self.unless_unmapped(given).map_err(LayerError::io("change the owner of", path))?;
        }
        fs::fchmod(file, Mode::from_raw_mode(with.mode)).map_err(LayerError::io("set the mode of", path))?;
        if let Some(value) = &with.capability {
            match fs::fsetxattr(file, CAPABILITY, value, XattrFlags::empty()) {
                // A namespace, or a file system, without such attributes: the blob keeps it, and nobody gains rights.
                Err(Errno::OPNOTSUPP | Errno::PERM) => {}
                other => other.map_err(LayerError::io("set the capabilities of", path))?,
            }
        }
        Ok(())
    }

    /// Ids beyond the ranges of a user namespace cannot be given. The blob keeps who it was.
    fn unless_unmapped(&self, outcome: Result<(), Errno>) -> Result<(), Errno> {
        match outcome {
            Err(Errno::INVAL) if self.flavour == Flavour::User => Ok(()),
            other => other,
        }
    }

    fn finish_special(&self, spot: &Spot<'_>, entry: &TarEntry, kind: FileType) -> Result<(), LayerError> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if (entry.uid, entry.gid) != self.own {
            let owner = Owner { uid: entry.uid, gid: entry.gid };
            let given = self.flavour.owners().give_at(spot.parent, spot.name, kind, owner);
            self.unless_unmapped(given).map_err(LayerError::io("change the owner of", spot.path))?;
        }
        if kind != FileType::Symlink {
            fs::chmodat(spot.parent, spot.name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(LayerError::io("set the mode of", spot.path))?;
        }
        fs::utimensat(spot.parent, spot.name, &times(entry.mtime), nofollow)
            .map_err(LayerError::io("set the times of", spot.path))?;
        Ok(())
    }

    fn finish_directories(&mut self) -> Result<(), LayerError> {
        self.parents.forget();
        // Deepest first: the mode of one above may keep us from getting there.
        for (path, look) in self.directories.iter().rev() {
            let with = match look {
                Look::Described(attributes) => attributes,
                Look::Implied => {
                    self.done.implied.push(path.clone());
                    &Attributes::UNKNOWN
                }
            };
            let dir = self.parents.open_existing(path).map_err(LayerError::io("open", path))?;
            self.finish(dir.as_fd(), with, path)?;
            set_times(dir.as_fd(), with.mtime).map_err(LayerError::io("set the times of", path))?;
        }
        Ok(())
    }
}

/// Where an entry goes.
struct Spot<'a> {
    parent: BorrowedFd<'a>,
    name: &'a [u8],
    path: &'a [u8],
}

impl Spot<'_> {
    fn make(&self, kind: FileType, device: fs::Dev) -> Result<(), Errno> {
        fs::mknodat(self.parent, self.name, kind, Mode::empty(), device)
    }
}

/// The path without slashes at its ends and empty components. Leading slashes are dropped, as every reader does.
fn clean(path: &[u8]) -> Result<Vec<u8>, LayerError> {
    let mut clean: Vec<u8> = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(LayerError::entry(path, "leads out of the layer")),
            _ if part.contains(&0) => return Err(LayerError::entry(path, "has a NUL in its name")),
            _ => {}
        }
        if !clean.is_empty() {
            clean.push(b'/');
        }
        clean.extend_from_slice(part);
    }
    if clean.len() > at::MAX_PATH {
        return Err(LayerError::TooDeep { path: clean, limit: at::MAX_PATH });
    }
    Ok(clean)
}

fn is_within(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

fn is_plain_attribute(name: &str) -> bool {
    name.starts_with("user.") && !name.starts_with("user.overlay.") && !name.starts_with(OUR_ATTRIBUTES)
}

fn attributes(entry: &TarEntry) -> Attributes {
    let capability = entry.capability().map(<[u8]>::to_vec);
    Attributes { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, capability }
}

fn times(mtime: Timestamp) -> Timestamps {
    let time = Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

pub(super) fn set_times(file: BorrowedFd<'_>, mtime: Timestamp) -> Result<(), Errno> {
    fs::futimens(file, &times(mtime))
}
