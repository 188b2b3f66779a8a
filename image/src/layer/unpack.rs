//! A layer's tar from outside, made a directory in overlay form (OCI image specification, layer.md).
//!
//! The archive is a stranger's. Every path is opened below the layer's root without following a link (`openat2`
//! with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`), so nothing that an archive made earlier can lead a later entry
//! elsewhere. What cannot be confined is an error that names the entry.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{self as sys, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::error::LayerError;
use super::flavour::Flavour;
use super::fs as at;
use super::tar_reader::{TarEntry, TarKind, TarReader};
use crate::time::Timestamp;

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
/// Other names that aufs kept for itself.
const META_PREFIX: &[u8] = b".wh..wh.";

/// Copies go through a buffer of this size.
const BUFFER: usize = 256 * 1024;

/// Unpacks a tar that is not compressed into `into`, an empty directory. The stream is read up to the archive's
/// end and no further.
///
/// # Errors
/// When the archive is damaged or wants out of the directory, or a system call fails; `into` is then of no use.
pub fn unpack(tar: impl Read, into: BorrowedFd<'_>, flavour: Flavour) -> Result<(), LayerError> {
    let mut reader = TarReader::new(tar);
    let mut unpacker =
        Unpacker { root: into, flavour, parent: None, dir_times: Vec::new(), buffer: vec![0; BUFFER] };
    while let Some(entry) = reader.next_entry()? {
        unpacker.entry(&entry, &mut reader)?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    root: BorrowedFd<'a>,
    flavour: Flavour,
    /// The directory of the entry before: the next one is usually in the same.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Set at the end, since making the entries changes them.
    dir_times: Vec<(Vec<u8>, Timestamp)>,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &TarEntry, content: &mut impl Read) -> Result<(), LayerError> {
        let path = clean(&entry.path)?;
        let (dir, name) = at::split(&path);
        if name.is_empty() {
            return Ok(());
        }
        if name.starts_with(WHITEOUT_PREFIX) {
            return self.whiteout(dir, name, &path);
        }
        let parent = self.take_parent(dir)?;
        let made = self.make(parent.as_fd(), name, &path, entry, content);
        self.parent = Some((dir.to_vec(), parent));
        made
    }

    fn make(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        entry: &TarEntry,
        content: &mut impl Read,
    ) -> Result<(), LayerError> {
        let name = CString::new(name).map_err(|_| unsafe_entry(path, "has a NUL byte in its name"))?;
        let name = name.as_c_str();
        let failed = |action| LayerError::io(action, path);
        match &entry.kind {
            TarKind::Dir => self.directory(parent, name, path, entry),
            TarKind::File => {
                self.clear(parent, name, path)?;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file =
                    sys::openat(parent, name, flags, Mode::from_raw_mode(0o600)).map_err(failed("create"))?;
                let file = File::from(file);
                self.write(&file, entry, content)
                    .map_err(|error| LayerError::Content { path: path.to_vec(), source: error })?;
                self.attributes(file.as_fd(), path, entry)?;
                sys::futimens(&file, &times(entry.mtime)).map_err(failed("set the times of"))
            }
            TarKind::Symlink(target) => {
                self.clear(parent, name, path)?;
                sys::symlinkat(target.as_slice(), parent, name).map_err(failed("create"))?;
                self.finish_node(parent, name, path, entry, None)
            }
            TarKind::Hardlink(target) => self.hard_link(parent, name, path, target),
            TarKind::Char(0, 0) => Err(unsafe_entry(path, "is a device that means a removed file")),
            TarKind::Char(major, minor) => {
                self.device(parent, name, path, entry, FileType::CharacterDevice, (*major, *minor))
            }
            TarKind::Block(major, minor) => {
                self.device(parent, name, path, entry, FileType::BlockDevice, (*major, *minor))
            }
            TarKind::Fifo => self.device(parent, name, path, entry, FileType::Fifo, (0, 0)),
        }
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &std::ffi::CStr,
        path: &[u8],
        entry: &TarEntry,
    ) -> Result<(), LayerError> {
        let failed = |action| LayerError::io(action, path);
        let there = match at::stat_at(parent, name) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(failed("stat")(error)),
        };
        let is_dir = there.as_ref().is_some_and(|stat| super::entry::file_type(stat) == FileType::Directory);
        let hides = there.as_ref().is_some_and(super::entry::is_whiteout);
        if !is_dir {
            self.clear(parent, name, path)?;
            sys::mkdirat(parent, name, Mode::from_raw_mode(0o700)).map_err(failed("create"))?;
        }
        let dir = sys::openat(parent, name, at::DIR, Mode::empty()).map_err(failed("open"))?;
        self.attributes(dir.as_fd(), path, entry)?;
        if hides {
            self.make_opaque(dir.as_fd(), path)?;
        }
        self.dir_times.push((path.to_vec(), entry.mtime));
        Ok(())
    }

    fn hard_link(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &std::ffi::CStr,
        path: &[u8],
        target: &[u8],
    ) -> Result<(), LayerError> {
        let target = clean(target)?;
        if target == path {
            return Ok(());
        }
        let (dir, base) = at::split(&target);
        let missing = || unsafe_entry(path, "is a hard link to a file that the layer does not have");
        let dir = match at::open_below(self.root, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
            Err(Errno::LOOP | Errno::XDEV) => {
                return Err(unsafe_entry(path, "is a hard link through a link"));
            }
            Err(error) => return Err(LayerError::io("open", &target)(error)),
        };
        match sys::statat(&dir, base, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                return Err(unsafe_entry(path, "is a hard link to a directory"));
            }
            Ok(_) => {}
            Err(Errno::NOENT) => return Err(missing()),
            Err(error) => return Err(LayerError::io("stat", &target)(error)),
        }
        self.clear(parent, name, path)?;
        sys::linkat(&dir, base, parent, name, AtFlags::empty()).map_err(LayerError::io("link", path))
    }

    fn device(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &std::ffi::CStr,
        path: &[u8],
        entry: &TarEntry,
        kind: FileType,
        (major, minor): (u32, u32),
    ) -> Result<(), LayerError> {
        self.clear(parent, name, path)?;
        match sys::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), sys::makedev(major, minor)) {
            Ok(()) => {}
            // No user namespace may make devices, and no container in one can use them. The blob keeps the entry.
            Err(Errno::PERM) if self.flavour == Flavour::User => return Ok(()),
            Err(error) => return Err(LayerError::io("create", path)(error)),
        }
        self.finish_node(parent, name, path, entry, Some(entry.mode))
    }

    /// Owner, mode and times of what cannot be opened.
    fn finish_node(
        &self,
        parent: BorrowedFd<'_>,
        name: &std::ffi::CStr,
        path: &[u8],
        entry: &TarEntry,
        mode: Option<u32>,
    ) -> Result<(), LayerError> {
        let (uid, gid) = owner(entry);
        let chown = sys::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        self.unless_unmapped(chown).map_err(LayerError::io("set the owner of", path))?;
        if let Some(mode) = mode {
            sys::chmodat(parent, name, Mode::from_raw_mode(mode), AtFlags::empty())
                .map_err(LayerError::io("set the mode of", path))?;
        }
        sys::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(LayerError::io("set the times of", path))
    }

    /// Owner, then mode and attributes: a change of the owner takes setuid bits and capabilities away.
    fn attributes(&self, fd: BorrowedFd<'_>, path: &[u8], entry: &TarEntry) -> Result<(), LayerError> {
        let (uid, gid) = owner(entry);
        self.unless_unmapped(sys::fchown(fd, Some(uid), Some(gid)))
            .map_err(LayerError::io("set the owner of", path))?;
        sys::fchmod(fd, Mode::from_raw_mode(entry.mode)).map_err(LayerError::io("set the mode of", path))?;
        for (name, value) in entry.xattrs.iter().filter(|(name, _)| !is_overlays(name)) {
            match sys::fsetxattr(fd, name.as_str(), value, XattrFlags::empty()) {
                // The file system or the namespace does not have such attributes; the blob keeps them.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => {}
                Err(error) => return Err(LayerError::io("set the attributes of", path)(error)),
            }
        }
        Ok(())
    }

    /// With a single id mapped there is no other owner to give. The blob keeps who it was.
    fn unless_unmapped(&self, outcome: Result<(), Errno>) -> Result<(), Errno> {
        match outcome {
            Err(Errno::INVAL) if self.flavour == Flavour::User => Ok(()),
            other => other,
        }
    }

    fn write(&mut self, file: &File, entry: &TarEntry, content: &mut impl Read) -> io::Result<()> {
        let whole = [super::tar_sparse::Extent { offset: 0, length: entry.size }];
        let extents = entry.sparse.as_deref().unwrap_or(&whole);
        for extent in extents {
            let mut at = extent.offset;
            let mut left = extent.length;
            while left > 0 {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                let count = content.read(&mut self.buffer[..wanted])?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.write_all_at(&self.buffer[..count], at)?;
                (at, left) = (at + count as u64, left - count as u64);
            }
        }
        if entry.sparse.is_some() {
            file.set_len(entry.size)?;
        }
        Ok(())
    }

    fn whiteout(&mut self, dir: &[u8], name: &[u8], path: &[u8]) -> Result<(), LayerError> {
        let parent = self.take_parent(dir)?;
        let outcome = self.whiteout_in(parent.as_fd(), name, path);
        self.parent = Some((dir.to_vec(), parent));
        outcome
    }

    fn whiteout_in(&self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<(), LayerError> {
        if name == OPAQUE_NAME {
            return self.make_opaque(parent, path);
        }
        if name.starts_with(META_PREFIX) {
            return Ok(());
        }
        let gone = &name[WHITEOUT_PREFIX.len()..];
        if matches!(gone, b"" | b"." | b"..") {
            return Err(unsafe_entry(path, "removes no file"));
        }
        match sys::mknodat(parent, gone, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // The layer has a file of its own there; that of a directory must not show what is below.
            Err(Errno::EXIST) => match sys::openat(parent, gone, at::DIR, Mode::empty()) {
                Ok(dir) => self.make_opaque(dir.as_fd(), path),
                Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(error) => Err(LayerError::io("open", path)(error)),
            },
            Err(error) => Err(LayerError::io("make a whiteout for", path)(error)),
        }
    }

    fn make_opaque(&self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<(), LayerError> {
        sys::fsetxattr(dir, self.flavour.opaque(), b"y", XattrFlags::empty())
            .map_err(LayerError::io("set the attributes of", path))
    }

    /// Removes what an earlier entry of the same name made: the last one counts.
    fn clear(&self, parent: BorrowedFd<'_>, name: &std::ffi::CStr, path: &[u8]) -> Result<(), LayerError> {
        match sys::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => match sys::unlinkat(parent, name, AtFlags::REMOVEDIR) {
                Ok(()) => Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    Err(unsafe_entry(path, "stands where the archive has a directory with files in it"))
                }
                Err(error) => Err(LayerError::io("remove", path)(error)),
            },
            Err(error) => Err(LayerError::io("remove", path)(error)),
        }
    }

    /// The directory of that path, made with its parents where the archive has no entry for it.
    fn take_parent(&mut self, dir: &[u8]) -> Result<OwnedFd, LayerError> {
        if let Some((path, fd)) = self.parent.take()
            && path == dir
        {
            return Ok(fd);
        }
        match at::open_below(self.root, dir, at::DIR) {
            Ok(fd) => Ok(fd),
            Err(Errno::NOENT) => {
                let (above, name) = at::split(dir);
                let parent = self.take_parent(above)?;
                sys::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
                    .map_err(LayerError::io("create", dir))?;
                let fd = sys::openat(&parent, name, at::DIR, Mode::empty())
                    .map_err(LayerError::io("open", dir))?;
                sys::fchmod(&fd, Mode::from_raw_mode(0o755))
                    .map_err(LayerError::io("set the mode of", dir))?;
                Ok(fd)
            }
            Err(Errno::LOOP | Errno::XDEV | Errno::NOTDIR) => {
                Err(unsafe_entry(dir, "is used as a directory, and is a link or a file"))
            }
            Err(error) => Err(LayerError::io("open", dir)(error)),
        }
    }

    fn finish(mut self) -> Result<(), LayerError> {
        for (path, mtime) in std::mem::take(&mut self.dir_times) {
            let dir = match at::open_below(self.root, &path, at::DIR) {
                Ok(dir) => dir,
                // A later entry replaced it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(error) => return Err(LayerError::io("open", &path)(error)),
            };
            sys::futimens(&dir, &times(mtime)).map_err(LayerError::io("set the times of", &path))?;
        }
        Ok(())
    }
}

/// A path of an archive, relative to the layer's root. Names that climb are refused, not bent.
fn clean(path: &[u8]) -> Result<Vec<u8>, LayerError> {
    let mut out = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(unsafe_entry(path, "leads out of the layer")),
            part => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
            }
        }
    }
    if out.len() > at::MAX_PATH {
        return Err(LayerError::TooDeep { path: out, limit: at::MAX_PATH });
    }
    Ok(out)
}

fn unsafe_entry(path: &[u8], reason: &'static str) -> LayerError {
    LayerError::Unsafe { path: path.to_vec(), reason }
}

/// Whether an attribute would change what overlayfs makes of the layer.
fn is_overlays(name: &str) -> bool {
    name.starts_with(Flavour::Trusted.prefix()) || name.starts_with(Flavour::User.prefix())
}

fn owner(entry: &TarEntry) -> (Uid, Gid) {
    (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid))
}

fn times(mtime: Timestamp) -> Timestamps {
    let mtime = Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() };
    Timestamps { last_access: mtime, last_modification: mtime }
}
