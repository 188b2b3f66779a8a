//! The first content of a named volume: a copy of what the image has where it is mounted.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_image::layer::{DirNode, Metadata, Node, NodeKind, Owner, Owners};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};

use super::error::ContainerError;

/// Copies everything below `dir`, and the attributes of `dir` itself, into the empty folder `into`.
pub(super) fn fill(dir: &DirNode, into: &OwnedFd, owners: Owners) -> Result<(), ContainerError> {
    for node in dir.children()? {
        copy(&node, into.as_fd(), owners)?;
    }
    let fail = |error: rustix::io::Errno| failed(dir.path(), error);
    let meta = dir.metadata();
    owners.give(into.as_fd(), Owner { uid: meta.uid, gid: meta.gid }).map_err(fail)?;
    rustix::fs::fchmod(into, Mode::from_raw_mode(meta.mode)).map_err(fail)?;
    rustix::fs::futimens(into, &times(meta)).map_err(fail)
}

fn copy(node: &Node, into: BorrowedFd<'_>, owners: Owners) -> Result<(), ContainerError> {
    let (name, meta) = (node.name(), node.metadata());
    let path = node.path()?;
    let fail = |error: rustix::io::Errno| failed(&path, error);
    let mode = Mode::from_raw_mode(meta.mode);
    match meta.kind {
        NodeKind::Dir => {
            rustix::fs::mkdirat(into, name, Mode::RWXU).map_err(fail)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(into, name, flags, Mode::empty()).map_err(fail)?;
            if let Some(dir) = node.dir()? {
                fill(&dir, &made, owners)?;
            }
            return Ok(());
        }
        NodeKind::File => copy_file(node, into)?,
        NodeKind::Symlink => {
            rustix::fs::symlinkat(&*node.read_link()?, into, name).map_err(fail)?;
        }
        NodeKind::Fifo => rustix::fs::mknodat(into, name, FileType::Fifo, mode, 0).map_err(fail)?,
        NodeKind::Char(major, minor) => {
            let device = rustix::fs::makedev(major, minor);
            rustix::fs::mknodat(into, name, FileType::CharacterDevice, mode, device).map_err(fail)?;
        }
        NodeKind::Block(major, minor) => {
            let device = rustix::fs::makedev(major, minor);
            rustix::fs::mknodat(into, name, FileType::BlockDevice, mode, device).map_err(fail)?;
        }
        // Nobody listens any more.
        NodeKind::Socket => return Ok(()),
    }
    owners.give_at(into, name, kind_of(meta.kind), Owner { uid: meta.uid, gid: meta.gid }).map_err(fail)?;
    if meta.kind != NodeKind::Symlink {
        // After the owner, whose change takes setuid away.
        rustix::fs::chmodat(into, name, mode, AtFlags::empty()).map_err(fail)?;
    }
    set_capability(node, into)?;
    rustix::fs::utimensat(into, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW).map_err(fail)
}

fn kind_of(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::File => FileType::RegularFile,
        NodeKind::Dir => FileType::Directory,
        NodeKind::Symlink => FileType::Symlink,
        NodeKind::Char(..) => FileType::CharacterDevice,
        NodeKind::Block(..) => FileType::BlockDevice,
        NodeKind::Fifo => FileType::Fifo,
        NodeKind::Socket => FileType::Socket,
    }
}

fn copy_file(node: &Node, into: BorrowedFd<'_>) -> Result<(), ContainerError> {
    let path = node.path()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let made = rustix::fs::openat(into, node.name(), flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| failed(&path, error))?;
    io::copy(&mut File::from(node.open()?), &mut File::from(made))
        .map(drop)
        .map_err(|error| failed(&path, error))
}

fn set_capability(node: &Node, into: BorrowedFd<'_>) -> Result<(), ContainerError> {
    if node.metadata().kind != NodeKind::File {
        return Ok(());
    }
    let Some(value) = node.capability()? else { return Ok(()) };
    let path = node.path()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(into, node.name(), flags, Mode::empty())
        .and_then(|file| rustix::fs::fsetxattr(file, "security.capability", &value, XattrFlags::empty()))
        .map_err(|error| failed(&path, error))
}

fn times(meta: &Metadata) -> Timestamps {
    let time = Timespec { tv_sec: meta.mtime.secs, tv_nsec: meta.mtime.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn failed(path: &[u8], error: impl Into<io::Error>) -> ContainerError {
    let path = String::from_utf8_lossy(path).into_owned();
    ContainerError::io("copy into a volume what the image has at", path)(error)
}
