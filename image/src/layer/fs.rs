//! Reading directories, files and attributes relative to a directory's descriptor.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx};
use rustix::io::Errno;

use super::LayerError;
use super::entry::{CAPABILITY, STATX};
use super::flavour::Flavour;

/// Longest path that is accepted inside of a layer. Programs can use 4096; more is an attack or an accident.
pub(crate) const MAX_PATH: usize = 16 * 1024;

/// Flags for directories that are listed.
pub(crate) const DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Flags for files that are read. A FIFO that stands where a file stood must not block.
pub(crate) const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The names in a directory from where its descriptor stands, unsorted, without `.` and `..`.
pub(crate) fn names(dir: BorrowedFd<'_>) -> Result<Vec<(Box<CStr>, FileType)>, Errno> {
    let mut buffer: Vec<MaybeUninit<u8>> = Vec::new();
    buffer.resize_with(16 * 1024, MaybeUninit::uninit);
    let mut names = Vec::new();
    let mut listing = RawDir::new(dir, &mut buffer);
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push((name.into(), entry.file_type()));
        }
    }
    Ok(names)
}

/// `statx` of a name in a directory, not following a symlink.
pub(crate) fn stat_at(dir: BorrowedFd<'_>, name: &CStr) -> Result<Statx, Errno> {
    fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, STATX)
}

/// The same for a name that is not a C string yet.
pub(crate) fn stat_at_bytes(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Statx, Errno> {
    fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, STATX)
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_at(file: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `statx` of an open file.
pub(crate) fn stat(fd: BorrowedFd<'_>) -> Result<Statx, Errno> {
    fs::statx(fd, c"", AtFlags::EMPTY_PATH, STATX)
}

/// Opens a path below `root` without following any symlink; an empty path is `root` itself.
pub(crate) fn open_below(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    const AT_ONCE: usize = 4000;
    if path.is_empty() {
        return fs::openat(root, c".", flags, Mode::empty());
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut at: Option<OwnedFd> = None;
    let mut rest = path;
    while rest.len() > AT_ONCE {
        let cut = rest[..AT_ONCE].iter().rposition(|byte| *byte == b'/').ok_or(Errno::NAMETOOLONG)?;
        let from = at.as_ref().map_or(root, AsFd::as_fd);
        at = Some(fs::openat2(
            from,
            &rest[..cut],
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )?);
        rest = &rest[cut + 1..];
    }
    fs::openat2(at.as_ref().map_or(root, AsFd::as_fd), rest, flags, Mode::empty(), resolve)
}

/// The value of an attribute of an open file, if it has one and the file system knows attributes.
pub(crate) fn attribute(fd: BorrowedFd<'_>, name: &str) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = vec![0; 256];
    loop {
        match fs::fgetxattr(fd, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                return Ok(Some(value));
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(Errno::RANGE) if value.len() < 64 * 1024 => value.resize(64 * 1024, 0),
            Err(error) => return Err(error),
        }
    }
}

/// The names of all attributes of an open file that we may see.
pub(crate) fn attribute_names(fd: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut list = vec![0; 512];
    loop {
        match fs::flistxattr(fd, &mut list[..]) {
            Ok(length) => {
                list.truncate(length);
                return Ok(list
                    .split(|byte| *byte == 0)
                    .filter(|name| !name.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect());
            }
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(Errno::RANGE) if list.len() < 64 * 1024 => list.resize(64 * 1024, 0),
            Err(error) => return Err(error),
        }
    }
}

/// Whether an open directory is opaque, and its file capabilities (which no directory should have, but may).
pub(crate) fn dir_attributes(fd: BorrowedFd<'_>, flavour: Flavour) -> Result<(bool, Option<Vec<u8>>), Errno> {
    let names = attribute_names(fd)?;
    let has = |wanted: &str| names.iter().any(|name| name == wanted.as_bytes());
    let opaque = has(flavour.opaque()) && attribute(fd, flavour.opaque())?.as_deref() == Some(b"y");
    let capability = if has(CAPABILITY) { attribute(fd, CAPABILITY)? } else { None };
    Ok((opaque, capability))
}

/// Adds a name to a path.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Result<Vec<u8>, LayerError> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    if !dir.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    if path.len() > MAX_PATH {
        return Err(LayerError::TooDeep { path, limit: MAX_PATH });
    }
    Ok(path)
}

/// Splits off the last component: (directory, name).
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}
