//! A folder of the host as a source.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RawDir, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;

use super::error::ContextError;
use super::meta::{Kind, Meta};
use super::permissions::Permissions;
use super::sieve::Sieve;
use super::source::Found;

/// Bytes of names that one call brings.
const LISTING: usize = 32 * 1024;

/// A folder of the host. Its files belong to 0:0, its sockets are empty files (spec 5.1).
#[derive(Debug)]
pub(crate) struct Folder {
    root: OwnedFd,
    pub(crate) ignore: Option<Sieve>,
    permissions: Permissions,
}

impl Folder {
    pub(crate) fn open(
        path: &Path,
        ignore: Option<Sieve>,
        permissions: Permissions,
    ) -> Result<Self, ContextError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty()).map_err(|cause| ContextError::Io {
            operation: "open folder",
            path: path.display().to_string(),
            cause: cause.into(),
        })?;
        Ok(Self { root, ignore, permissions })
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Everything in one directory, ignored or not, in no particular order.
    pub(crate) fn list(&self, dir: &[u8]) -> Result<Vec<Found>, ContextError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = open_below(self.root(), dir, flags)
            .map_err(|cause| ContextError::io("open directory", dir, cause))?;
        let failed = |cause| ContextError::io("read directory", dir, cause);
        let mut buffer = Vec::with_capacity(LISTING);
        let mut reader = RawDir::new(&fd, buffer.spare_capacity_mut());
        let mut found = Vec::new();
        while let Some(entry) = reader.next() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = || super::path::join(dir, name.to_bytes());
            let meta = match Meta::at(&fd, name) {
                Ok(meta) => self.as_sent(meta),
                // Somebody removed it since the directory was read: then it is not there.
                Err(Errno::NOENT) => continue,
                Err(cause) => return Err(ContextError::io("stat", &path(), cause)),
            };
            let link = match meta.kind {
                Kind::Symlink => Some(
                    readlinkat(&fd, name, Vec::new())
                        .map_err(|cause| ContextError::io("read link", &path(), cause))?
                        .into_bytes(),
                ),
                _ => None,
            };
            found.push(Found { name: name.to_bytes().to_vec(), layer: 0, meta, link, node: None });
        }
        Ok(found)
    }

    /// The entry at a path without links in it; None if there is nothing.
    pub(crate) fn stat(&self, path: &[u8]) -> Result<Option<Found>, ContextError> {
        let fd = match open_below(self.root(), path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => return Ok(None),
            Err(cause) => return Err(ContextError::io("stat", path, cause)),
        };
        let meta = Meta::at(&fd, c"").map_err(|cause| ContextError::io("stat", path, cause))?;
        let link = match meta.kind {
            Kind::Symlink => Some(
                readlinkat(&fd, "", Vec::new())
                    .map_err(|cause| ContextError::io("read link", path, cause))?
                    .into_bytes(),
            ),
            _ => None,
        };
        let name = super::path::base_name(path).to_vec();
        Ok(Some(Found { name, layer: 0, meta: self.as_sent(meta), link, node: None }))
    }

    /// What BuildKit's transfer of a context leaves of the metadata, with the permissions that were asked for.
    fn as_sent(&self, meta: Meta) -> Meta {
        let sent = Meta { uid: 0, gid: 0, mode: self.permissions.mode(&meta), ..meta };
        match meta.kind {
            Kind::Socket => Meta { kind: Kind::File, size: 0, ..sent },
            _ => sent,
        }
    }
}

/// Opens a path that has no links in it, below a directory.
pub(crate) fn open_below(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b".".as_slice() } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // O_PATH with O_NOFOLLOW is meant to open the link itself, which NO_SYMLINKS allows for the last component.
    loop {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}
