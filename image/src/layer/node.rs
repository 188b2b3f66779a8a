//! Entries of a merged tree, and its directories.
//!
//! A directory of the merged tree is a [`DirNode`]: the descriptors of the layers' directories that take part in it,
//! uppermost first. Going down a level asks only those, so a walk costs per entry and not per layer, and what one
//! layer alone has is never looked for in two hundred others.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{self, FileType, Mode, Statx};
use rustix::io::Errno;

use super::entry::{file_type, is_whiteout, mtime, permissions};
use super::error::LayerError;
use super::flavour::Flavour;
use super::{fs as at, walk};
use crate::time::Timestamp;

/// A file, directory, link or device of the merged tree.
#[derive(Clone)]
pub struct Node {
    name: Box<CStr>,
    meta: Metadata,
    parent: Option<DirNode>,
    slot: usize,
    dir: Option<DirNode>,
}

/// A directory of the merged tree. Cheap to clone.
#[derive(Clone)]
pub struct DirNode(Arc<Dir>);

struct Dir {
    path: Vec<u8>,
    meta: Metadata,
    layers: Vec<OwnedFd>,
    /// Of each of `layers`, the number of its layer in the view.
    numbers: Vec<usize>,
    flavour: Flavour,
}

/// What `stat` says, of the uppermost layer that has the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// File, directory, ...
    pub kind: NodeKind,
    /// Permissions with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes; of a symlink the length of its target.
    pub size: u64,
    /// Modification time.
    pub mtime: Timestamp,
    /// Names of the inode, those in other layers and places included.
    pub nlink: u32,
    /// The layer's file system and the inode in it: equal for hard links of one layer.
    pub inode: (u32, u32, u64),
}

/// The type of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Regular file.
    File,
    /// Directory.
    Dir,
    /// Symbolic link.
    Symlink,
    /// Character device: major, minor.
    Char(u32, u32),
    /// Block device: major, minor.
    Block(u32, u32),
    /// Named pipe.
    Fifo,
    /// Socket.
    Socket,
}

impl DirNode {
    pub(super) fn root(layers: Vec<OwnedFd>, flavour: Flavour) -> Self {
        let first = layers.first().and_then(|layer| flavour.owners().stat(layer.as_fd()).ok());
        let meta = first.map_or_else(Metadata::empty_root, |stat| Metadata::new(&stat));
        let numbers = (0..layers.len()).collect();
        Self(Arc::new(Dir { path: Vec::new(), meta, layers, numbers, flavour }))
    }

    /// Relative to the root of the view, without symlinks; empty for the root.
    pub fn path(&self) -> &[u8] {
        &self.0.path
    }

    /// Of the uppermost layer that has the directory.
    pub fn metadata(&self) -> &Metadata {
        &self.0.meta
    }

    /// How many layers take part in it.
    pub fn depth(&self) -> usize {
        self.0.layers.len()
    }

    pub(super) fn parts(&self) -> &[OwnedFd] {
        &self.0.layers
    }

    /// The entry of this name.
    ///
    /// # Errors
    /// When a layer cannot be asked.
    pub fn child(&self, name: &[u8]) -> Result<Option<Node>, LayerError> {
        let Ok(name) = CString::new(name) else { return Ok(None) };
        for (slot, layer) in self.0.layers.iter().enumerate() {
            match self.0.flavour.owners().stat_at(layer.as_fd(), name.to_bytes()) {
                Ok(stat) if is_whiteout(&stat) => return Ok(None),
                Ok(stat) => return Ok(Some(self.make(name.into_boxed_c_str(), &stat, slot))),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(LayerError::child("stat", self.path(), name.to_bytes())(error)),
            }
        }
        Ok(None)
    }

    /// All entries, sorted by the bytes of their names.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub fn children(&self) -> Result<Vec<Node>, LayerError> {
        let mut nodes = Vec::new();
        let mut seen: HashMap<Box<CStr>, ()> = HashMap::new();
        let last = self.0.layers.len().saturating_sub(1);
        for (slot, layer) in self.0.layers.iter().enumerate() {
            let names =
                at::names(self.reopened(layer)?.as_fd()).map_err(LayerError::io("list", self.path()))?;
            for (name, _) in names {
                if seen.contains_key(&name) {
                    continue;
                }
                let stat = self.0.flavour.owners().stat_at(layer.as_fd(), name.to_bytes());
                let stat = stat.map_err(LayerError::child("stat", self.path(), name.to_bytes()))?;
                if slot < last {
                    seen.insert(name.clone(), ());
                }
                if !is_whiteout(&stat) {
                    nodes.push(self.make(name, &stat, slot));
                }
            }
        }
        nodes.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        Ok(nodes)
    }

    /// The directory itself as a node.
    pub fn node(&self) -> Node {
        let name = CString::new(at::split(self.path()).1).unwrap_or_default().into_boxed_c_str();
        Node { name, meta: self.0.meta.clone(), parent: None, slot: 0, dir: Some(self.clone()) }
    }

    /// A descriptor of its own: the position in a directory is shared between all users of one descriptor.
    fn reopened(&self, layer: &OwnedFd) -> Result<OwnedFd, LayerError> {
        fs::openat(layer, c".", at::DIR, Mode::empty()).map_err(LayerError::io("open", self.path()))
    }

    fn make(&self, name: Box<CStr>, stat: &Statx, slot: usize) -> Node {
        Node { name, meta: Metadata::new(stat), parent: Some(self.clone()), slot, dir: None }
    }

    /// Collects the directory `name` from layer `first` downwards, until a layer says that nothing below counts.
    fn descend(&self, name: &CStr, first: usize, meta: Metadata) -> Result<Self, LayerError> {
        let path = at::join(self.path(), name.to_bytes())?;
        let (mut layers, mut numbers) = (Vec::new(), Vec::new());
        for (layer, number) in self.0.layers.iter().zip(&self.0.numbers).skip(first) {
            match fs::openat(layer, name, at::DIR, Mode::empty()) {
                Ok(dir) => {
                    let opaque = at::attribute(dir.as_fd(), self.0.flavour.opaque())
                        .map_err(LayerError::io("read the attributes of", &path))?;
                    layers.push(dir);
                    numbers.push(*number);
                    if opaque.as_deref() == Some(b"y") {
                        break;
                    }
                }
                Err(Errno::NOENT) => {}
                // Something that is no directory hides what is below it; a whiteout is such a thing.
                Err(Errno::NOTDIR | Errno::LOOP) => break,
                Err(source) => return Err(LayerError::Io { action: "open", path, source }),
            }
        }
        Ok(Self(Arc::new(Dir { path, meta, layers, numbers, flavour: self.0.flavour })))
    }
}

impl Node {
    /// Its name; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.name.to_bytes()
    }

    /// Type, mode, owner, size, times.
    pub fn metadata(&self) -> &Metadata {
        &self.meta
    }

    /// Relative to the root of the view; empty for the root.
    ///
    /// # Errors
    /// When it is longer than 16 KiB.
    pub fn path(&self) -> Result<Vec<u8>, LayerError> {
        match &self.parent {
            Some(parent) => at::join(parent.path(), self.name()),
            None => Ok(self.dir.as_ref().map(|dir| dir.path().to_vec()).unwrap_or_default()),
        }
    }

    /// As a directory; None when it is something else.
    ///
    /// # Errors
    /// When a layer cannot be asked.
    pub fn dir(&self) -> Result<Option<DirNode>, LayerError> {
        match (&self.dir, &self.parent) {
            (Some(dir), _) => Ok(Some(dir.clone())),
            (None, Some(parent)) if self.meta.kind == NodeKind::Dir => {
                parent.descend(&self.name, self.slot, self.meta.clone()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Opens a regular file or the uppermost directory for reading. Never blocks on a pipe, never follows a link.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self) -> Result<OwnedFd, LayerError> {
        let flags = if self.meta.kind == NodeKind::Dir { at::DIR } else { at::FILE };
        match self.place() {
            Some((layer, name)) => {
                fs::openat(layer, name, flags, Mode::empty()).map_err(|e| self.error("open", e))
            }
            None => Err(self.error("open", Errno::NOENT)),
        }
    }

    /// The target of a symlink.
    ///
    /// # Errors
    /// When it is no symlink or cannot be read.
    pub fn read_link(&self) -> Result<Vec<u8>, LayerError> {
        match self.place() {
            Some((layer, name)) => fs::readlinkat(layer, name, Vec::new())
                .map(CString::into_bytes)
                .map_err(|e| self.error("read the link", e)),
            None => Err(self.error("read the link", Errno::INVAL)),
        }
    }

    /// The file capabilities of a regular file; None for everything else.
    ///
    /// # Errors
    /// When it cannot be opened or asked.
    pub fn capability(&self) -> Result<Option<Vec<u8>>, LayerError> {
        if !matches!(self.meta.kind, NodeKind::File | NodeKind::Dir) {
            return Ok(None);
        }
        walk::capability(self.open()?.as_fd(), &self.path()?)
    }

    /// The number of the layer that has it, for [`View::layer`](super::View::layer): with it and the path a file can be found again
    /// without keeping a descriptor open.
    pub fn layer(&self) -> Option<usize> {
        match (&self.parent, &self.dir) {
            (Some(parent), _) => parent.0.numbers.get(self.slot).copied(),
            (None, Some(dir)) => dir.0.numbers.first().copied(),
            (None, None) => None,
        }
    }

    /// The layer's directory and the name in it: for a hard link or a clone of the file, without opening it.
    pub fn place(&self) -> Option<(BorrowedFd<'_>, &CStr)> {
        match (&self.parent, &self.dir) {
            (Some(parent), _) => Some((parent.0.layers[self.slot].as_fd(), &*self.name)),
            (None, Some(dir)) => dir.0.layers.first().map(|layer| (layer.as_fd(), c".")),
            (None, None) => None,
        }
    }

    fn error(&self, action: &'static str, source: Errno) -> LayerError {
        LayerError::Io { action, path: self.path().unwrap_or_default(), source }
    }
}

impl Metadata {
    pub(super) fn new(stat: &Statx) -> Self {
        let (major, minor) = (stat.stx_rdev_major, stat.stx_rdev_minor);
        let kind = match file_type(stat) {
            FileType::Directory => NodeKind::Dir,
            FileType::Symlink => NodeKind::Symlink,
            FileType::CharacterDevice => NodeKind::Char(major, minor),
            FileType::BlockDevice => NodeKind::Block(major, minor),
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            _ => NodeKind::File,
        };
        Self {
            kind,
            mode: permissions(stat),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            mtime: mtime(stat),
            nlink: stat.stx_nlink,
            inode: (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino),
        }
    }

    fn empty_root() -> Self {
        let mtime = Timestamp::EPOCH;
        Self { kind: NodeKind::Dir, mode: 0o755, uid: 0, gid: 0, size: 0, mtime, nlink: 1, inode: (0, 0, 0) }
    }
}

impl fmt::Debug for DirNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = String::from_utf8_lossy(self.path());
        f.debug_struct("DirNode").field("path", &path).field("layers", &self.depth()).finish()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).field("meta", &self.meta).finish_non_exhaustive()
    }
}
