//! From what overlayfs left in an upper directory to what really changed (spec 8.2 and 8.3).
//!
//! Overlayfs copies a file up when it is opened for writing, a directory when something below it changes, and
//! hides what was below a directory that was removed and made again by one attribute. Other builders compare
//! instead, and so do we: what is equal below goes out of the upper directory again, and an opaque directory gets
//! one whiteout for each name that is really gone.

use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self as sys, AtFlags, FileType, Mode, Statx, Timespec, Timestamps};
use rustix::io::Errno;

use super::entry::{CAPABILITY, file_type, is_whiteout, mtime, permissions};
use super::error::LayerError;
use super::flavour::Flavour;
use super::fs as at;
use super::node::{DirNode, Metadata, Node, NodeKind};
use super::view::View;

/// Content is compared in pieces of this many bytes.
const PIECE: usize = 64 * 1024;

/// Makes `upper`, an overlay's upper directory over `lower`, hold exactly the changes. Times of directories stay
/// as the process left them.
///
/// Beyond spec 8.2, files that look the same are compared by content whatever their times say: a program can set
/// those. Returns whether anything had to be altered.
///
/// # Errors
/// When a system call fails; the directory is then not a layer.
pub fn normalize(
    upper: BorrowedFd<'_>,
    lower: &View,
    flavour: Flavour,
    author: Author,
) -> Result<bool, LayerError> {
    let below = (lower.root().depth() > 0).then(|| lower.root().clone());
    let altered = Cell::new(false);
    let dir = Upper { fd: reopen(upper)?, path: Vec::new(), below, hides: false, author, altered: &altered };
    dir.visit(flavour)?;
    Ok(altered.get())
}

/// Who wrote the upper directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A process, through overlayfs: anything may be in it.
    Process,
    /// rbuild itself, file by file: where nothing is below, there is nothing that no layer holds.
    Ourselves,
}

fn reopen(dir: BorrowedFd<'_>) -> Result<OwnedFd, LayerError> {
    sys::openat(dir, c".", at::DIR, Mode::empty()).map_err(LayerError::io("open", b""))
}

/// A directory of the upper tree.
struct Upper<'a> {
    fd: OwnedFd,
    path: Vec<u8>,
    /// The directory of the same path below, if there is one.
    below: Option<DirNode>,
    /// Nothing of `below` shows through: the directory, or one above it, is opaque.
    hides: bool,
    author: Author,
    /// Something was removed or made.
    altered: &'a Cell<bool>,
}

/// What became of an entry.
#[derive(PartialEq, Eq)]
enum Verdict {
    Changed,
    /// Equal to what is below; it has been removed from the upper directory.
    Same,
}

impl Upper<'_> {
    /// Normalises everything inside. Says whether anything of it is a change.
    fn visit(&self, flavour: Flavour) -> Result<Verdict, LayerError> {
        let before = at::stat(self.fd.as_fd()).map_err(LayerError::io("stat", &self.path))?;
        let names = at::names(self.fd.as_fd()).map_err(LayerError::io("list", &self.path))?;
        let mut changed = false;
        let mut touched = false;
        for (name, kind) in &names {
            match self.entry(name, *kind, flavour)? {
                Verdict::Changed => changed = true,
                Verdict::Same => touched = true,
            }
        }
        if self.hides
            && let Some(below) = &self.below
        {
            let present: HashSet<&[u8]> = names.iter().map(|(name, _)| name.to_bytes()).collect();
            for gone in below.children()?.iter().filter(|node| !present.contains(node.name())) {
                self.whiteout(gone)?;
                changed = true;
            }
            touched |= changed;
        }
        if touched {
            self.restore_times(&before)?;
        }
        Ok(if changed { Verdict::Changed } else { Verdict::Same })
    }

    fn entry(&self, name: &CStr, kind: FileType, flavour: Flavour) -> Result<Verdict, LayerError> {
        if self.below.is_none() {
            // Where nothing is below, everything is a change, but for what no layer holds.
            match kind {
                _ if self.author == Author::Ourselves => return Ok(Verdict::Changed),
                FileType::Directory => return self.directory(name, None, flavour),
                FileType::RegularFile | FileType::Symlink => return Ok(Verdict::Changed),
                _ => {}
            }
        }
        let stat = flavour.owners().stat_at(self.fd.as_fd(), name.to_bytes());
        let stat = stat.map_err(self.failed("stat", name))?;
        let below = match &self.below {
            Some(dir) => dir.child(name.to_bytes())?,
            None => None,
        };
        let same = if is_whiteout(&stat) {
            below.is_none()
        } else {
            match file_type(&stat) {
                FileType::Directory => {
                    return self.directory(name, below.map(|below| (&stat, below)), flavour);
                }
                // No tar can say what a socket is; nobody listens on it any more either.
                FileType::Socket => true,
                _ => match &below {
                    Some(below) => self.equal(name, &stat, below)?,
                    None => false,
                },
            }
        };
        if same {
            self.altered.set(true);
            sys::unlinkat(&self.fd, name, AtFlags::empty()).map_err(self.failed("remove", name))?;
        }
        Ok(if same { Verdict::Same } else { Verdict::Changed })
    }

    fn directory(
        &self,
        name: &CStr,
        below: Option<(&Statx, Node)>,
        flavour: Flavour,
    ) -> Result<Verdict, LayerError> {
        let fd = sys::openat(&self.fd, name, at::DIR, Mode::empty()).map_err(self.failed("open", name))?;
        let (opaque, capability) =
            at::dir_attributes(fd.as_fd(), flavour).map_err(self.failed("read the attributes of", name))?;
        let below_dir = match &below {
            Some((_, node)) => node.dir()?,
            None => None,
        };
        let dir = Self {
            path: at::join(&self.path, name.to_bytes())?,
            below: below_dir,
            hides: self.hides || opaque,
            fd,
            author: self.author,
            altered: self.altered,
        };
        let inside = dir.visit(flavour)?;
        if opaque {
            self.altered.set(true);
            sys::fremovexattr(&dir.fd, flavour.opaque())
                .map_err(LayerError::io("change the attributes of", &dir.path))?;
        }
        let same_itself = match &below {
            Some((stat, node)) if node.metadata().kind == NodeKind::Dir => {
                same_owner_and_mode(stat, node.metadata()) && capability == node.capability()?
            }
            _ => false,
        };
        if inside == Verdict::Changed || !same_itself {
            return Ok(Verdict::Changed);
        }
        self.altered.set(true);
        sys::unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(self.failed("remove", name))?;
        Ok(Verdict::Same)
    }

    /// Whether a file, link or device is what is below (spec 8.2).
    fn equal(&self, name: &CStr, stat: &Statx, below: &Node) -> Result<bool, LayerError> {
        let meta = below.metadata();
        if !same_owner_and_mode(stat, meta) || mtime(stat) != meta.mtime {
            return Ok(false);
        }
        match (file_type(stat), meta.kind) {
            (FileType::Fifo, NodeKind::Fifo) => Ok(true),
            (FileType::CharacterDevice, NodeKind::Char(major, minor))
            | (FileType::BlockDevice, NodeKind::Block(major, minor)) => {
                Ok((stat.stx_rdev_major, stat.stx_rdev_minor) == (major, minor))
            }
            (FileType::Symlink, NodeKind::Symlink) => {
                let target = sys::readlinkat(&self.fd, name, Vec::new())
                    .map_err(self.failed("read the link", name))?;
                Ok(target.to_bytes() == below.read_link()?)
            }
            (FileType::RegularFile, NodeKind::File) => {
                Ok(stat.stx_size == meta.size && self.same_content(name, below)?)
            }
            _ => Ok(false),
        }
    }

    fn same_content(&self, name: &CStr, below: &Node) -> Result<bool, LayerError> {
        let upper =
            sys::openat(&self.fd, name, at::FILE, Mode::empty()).map_err(self.failed("open", name))?;
        let capability =
            at::attribute(upper.as_fd(), CAPABILITY).map_err(self.failed("read the attributes of", name))?;
        if capability != below.capability()? {
            return Ok(false);
        }
        let mut pieces = (vec![0; PIECE], vec![0; PIECE]);
        let (mut upper, mut lower) = (File::from(upper), File::from(below.open()?));
        loop {
            let ours = fill(&mut upper, &mut pieces.0).map_err(self.failed("read", name))?;
            let theirs = fill(&mut lower, &mut pieces.1).map_err(self.failed("read", name))?;
            if pieces.0[..ours] != pieces.1[..theirs] {
                return Ok(false);
            }
            if ours == 0 {
                return Ok(true);
            }
        }
    }

    fn whiteout(&self, gone: &Node) -> Result<(), LayerError> {
        self.altered.set(true);
        sys::mknodat(&self.fd, gone.name(), FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(LayerError::child("make a whiteout for", &self.path, gone.name()))
    }

    /// Removing entries is our doing, not the process's.
    fn restore_times(&self, before: &Statx) -> Result<(), LayerError> {
        let time = |stamp: &rustix::fs::StatxTimestamp| Timespec {
            tv_sec: stamp.tv_sec,
            tv_nsec: stamp.tv_nsec.into(),
        };
        let times =
            Timestamps { last_access: time(&before.stx_atime), last_modification: time(&before.stx_mtime) };
        sys::futimens(&self.fd, &times).map_err(LayerError::io("set the times of", &self.path))
    }

    fn failed<'a>(
        &'a self,
        action: &'static str,
        name: &'a CStr,
    ) -> impl FnOnce(Errno) -> LayerError + use<'a> {
        LayerError::child(action, &self.path, name.to_bytes())
    }
}

fn same_owner_and_mode(stat: &Statx, meta: &Metadata) -> bool {
    (permissions(stat), stat.stx_uid, stat.stx_gid) == (meta.mode, meta.uid, meta.gid)
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
    Ok(length)
}
