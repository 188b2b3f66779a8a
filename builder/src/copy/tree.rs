//! The layer that is going to be written, as a tree in memory on top of the destination.
//!
//! Rules are applied here, where nothing can be half done: a conflict is found before the first file is written.
//! Directories of the destination appear in the tree when something is put into them ("copied up").

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rbuild_image::layer::{DirNode, Follow, LayerError, NodeKind, View};

use super::error::CopyError;
use super::owner::Owner;
use crate::context::path::{components, join, show};
use crate::context::xattr::{self, Xattrs};
use crate::context::{ContextError, FileTime, Found, Kind, found, resolve};

/// Directories of the destination that are kept open for the next lookup.
const OPEN_DIRS: usize = 64;

/// Index of a node in its tree.
pub(crate) type NodeId = usize;

/// The root of every tree.
pub(crate) const ROOT: NodeId = 0;

/// The new layer on top of a destination.
pub(crate) struct Tree<'a> {
    pub(crate) nodes: Vec<Node>,
    dest: &'a View,
    /// A directory on whose file system inflated archives are kept, without a name.
    spool: BorrowedFd<'a>,
    open: HashMap<NodeId, DirNode>,
}

/// An entry of the new layer.
pub(crate) struct Node {
    pub(crate) parent: NodeId,
    pub(crate) name: Vec<u8>,
    pub(crate) made: Made,
}

/// What an entry of the new layer is.
pub(crate) enum Made {
    Dir(Dir),
    File {
        content: Content,
        with: Attributes,
    },
    Symlink {
        target: Vec<u8>,
        with: Attributes,
    },
    Special {
        kind: Kind,
        device: (u32, u32),
        with: Attributes,
    },
    /// Another name for a file of this layer.
    Link(NodeId),
    /// Hides what the destination has here.
    Whiteout,
}

impl Made {
    /// Those of what has any of its own.
    pub(crate) fn attributes(&self) -> Option<&Attributes> {
        match self {
            Self::Dir(Dir { with, .. })
            | Self::File { with, .. }
            | Self::Symlink { with, .. }
            | Self::Special { with, .. } => Some(with),
            Self::Link(_) | Self::Whiteout => None,
        }
    }
}

/// Owner, permissions, time and extended attributes.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) owner: Owner,
    pub(crate) mode: u32,
    /// None: the time at which it is written.
    pub(crate) mtime: Option<FileTime>,
    pub(crate) xattrs: XattrSource,
}

/// Where extended attributes come from.
#[derive(Debug, Clone)]
pub(crate) enum XattrSource {
    These(Xattrs),
    /// Of an entry of the instruction's source; read when they are needed.
    Source {
        path: Vec<u8>,
        layer: u32,
    },
}

impl XattrSource {
    pub(crate) const NONE: Self = Self::These(Vec::new());
}

/// Where the bytes of a file come from.
pub(crate) enum Content {
    /// A file of the instruction's source.
    Source(Box<Found>, Vec<u8>),
    /// A file of the destination.
    Dest(Box<Found>, Vec<u8>),
    Bytes(Vec<u8>),
    /// A part of a file: a member of an archive, or the whole of a download.
    Range {
        file: Arc<File>,
        offset: u64,
        size: u64,
    },
}

/// A directory of the new layer.
pub(crate) struct Dir {
    pub(crate) children: BTreeMap<Vec<u8>, NodeId>,
    pub(crate) with: Attributes,
    /// The destination has a directory here, and its content is part of this one.
    pub(crate) merged: bool,
    /// The destination has a directory here, but its content is gone.
    pub(crate) hides: bool,
}

/// What is at a path, new layer and destination taken together.
pub(crate) enum Present {
    Nothing,
    Made(NodeId),
    Below(Box<Found>),
}

impl<'a> Tree<'a> {
    /// Nothing but the root directory, which is the destination's.
    pub(crate) fn new(dest: &'a View, spool: BorrowedFd<'a>) -> Result<Self, CopyError> {
        let root = found(dest.root().node())?;
        let xattrs = xattrs_of(dest, b"", &root)?;
        let dir = Dir::copied_up(&root, xattrs);
        let node = Node { parent: ROOT, name: Vec::new(), made: Made::Dir(dir) };
        Ok(Self { nodes: vec![node], dest, spool, open: HashMap::new() })
    }

    pub(crate) fn path(&self, id: NodeId) -> Vec<u8> {
        let node = &self.nodes[id];
        if id == ROOT { Vec::new() } else { join(&self.path(node.parent), &node.name) }
    }

    pub(crate) fn dir(&self, id: NodeId) -> Option<&Dir> {
        match &self.nodes[id].made {
            Made::Dir(dir) => Some(dir),
            _ => None,
        }
    }

    pub(crate) fn dir_mut(&mut self, id: NodeId) -> Option<&mut Dir> {
        match &mut self.nodes[id].made {
            Made::Dir(dir) => Some(dir),
            _ => None,
        }
    }

    /// What a directory of the tree has under a name.
    pub(crate) fn child(&mut self, dir: NodeId, name: &[u8]) -> Result<Present, CopyError> {
        let Some(this) = self.dir(dir) else { return Ok(Present::Nothing) };
        if let Some(&child) = this.children.get(name) {
            return Ok(match self.nodes[child].made {
                Made::Whiteout => Present::Nothing,
                _ => Present::Made(child),
            });
        }
        if !this.merged {
            return Ok(Present::Nothing);
        }
        let Some(below) = self.dest_dir(dir)? else { return Ok(Present::Nothing) };
        Ok(match below.child(name)? {
            Some(node) => Present::Below(Box::new(found(node)?)),
            None => Present::Nothing,
        })
    }

    fn dest_dir(&mut self, dir: NodeId) -> Result<Option<DirNode>, CopyError> {
        if let Some(open) = self.open.get(&dir) {
            return Ok(Some(open.clone()));
        }
        let opened = self.dest.dir(&self.path(dir))?;
        if let Some(opened) = &opened {
            if self.open.len() >= OPEN_DIRS {
                self.open.clear();
            }
            self.open.insert(dir, opened.clone());
        }
        Ok(opened)
    }

    /// The directory `name` as a node of the tree, copied up if it is the destination's; None if there is none.
    pub(crate) fn enter(&mut self, dir: NodeId, name: &[u8]) -> Result<Option<NodeId>, CopyError> {
        match self.child(dir, name)? {
            Present::Made(id) if matches!(self.nodes[id].made, Made::Dir(_)) => Ok(Some(id)),
            Present::Below(found) if found.meta.kind == Kind::Dir => {
                let path = join(&self.path(dir), name);
                let xattrs = xattrs_of(self.dest, &path, &found)?;
                let made = Made::Dir(Dir::copied_up(&found, xattrs));
                Ok(Some(self.insert(dir, name, made)))
            }
            _ => Ok(None),
        }
    }

    /// Follows the links in a path, those of the new layer and of the destination.
    pub(crate) fn resolve(&mut self, base: &[u8], path: &[u8], last_too: bool) -> Result<Vec<u8>, CopyError> {
        let inside = resolve(path, last_too, |below| {
            let at = join(base, below);
            self.link_at(&at)
        })?;
        Ok(join(base, &inside))
    }

    fn link_at(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>, CopyError> {
        match self.find(path)? {
            Present::Made(id) => Ok(match &self.nodes[id].made {
                Made::Symlink { target, .. } => Some(target.clone()),
                _ => None,
            }),
            Present::Below(found) => Ok(found.link),
            Present::Nothing => Ok(None),
        }
    }

    /// What is at a path without links in it. Nothing is copied up.
    pub(crate) fn find(&mut self, path: &[u8]) -> Result<Present, CopyError> {
        let mut at = ROOT;
        let mut parts = components(path).peekable();
        while let Some(part) = parts.next() {
            match self.child(at, part)? {
                Present::Made(id) => at = id,
                Present::Below(found) if parts.peek().is_none() => return Ok(Present::Below(found)),
                Present::Below(_) => {
                    // From here on everything is the destination's.
                    let node = self.dest.lookup(path, Follow::Never);
                    return match node {
                        Ok(Some(node)) => Ok(Present::Below(Box::new(found(node)?))),
                        Ok(None) | Err(LayerError::NotADirectory { .. }) => Ok(Present::Nothing),
                        Err(cause) => Err(cause.into()),
                    };
                }
                Present::Nothing => return Ok(Present::Nothing),
            }
        }
        Ok(Present::Made(at))
    }

    /// The directory at a path without links, made with all its parents as far as it is missing.
    pub(crate) fn make_dirs(&mut self, path: &[u8], new: &Attributes) -> Result<NodeId, CopyError> {
        let mut at = ROOT;
        for part in components(path) {
            at = match self.enter(at, part)? {
                Some(dir) => dir,
                None => match self.child(at, part)? {
                    Present::Nothing => self.put(at, part, Made::Dir(Dir::new(new.clone()))),
                    _ => {
                        let path = show(&join(&self.path(at), part));
                        return Err(CopyError::NotADirectory { path });
                    }
                },
            };
        }
        Ok(at)
    }

    /// Puts an entry into a directory, over whatever was there. The directory's time becomes that of writing.
    pub(crate) fn put(&mut self, dir: NodeId, name: &[u8], made: Made) -> NodeId {
        let id = self.insert(dir, name, made);
        if let Some(dir) = self.dir_mut(dir) {
            dir.with.mtime = None;
        }
        id
    }

    fn insert(&mut self, dir: NodeId, name: &[u8], made: Made) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(Node { parent: dir, name: name.to_vec(), made });
        if let Some(dir) = self.dir_mut(dir) {
            dir.children.insert(name.to_vec(), id);
        }
        id
    }

    /// For directories that hide those of the destination: hides every single name that is not made anew.
    pub(crate) fn hide_below(&mut self, id: NodeId) -> Result<(), CopyError> {
        let Some(below) = self.dest.dir(&self.path(id))? else { return Ok(()) };
        for node in below.children()? {
            let name = node.name().to_vec();
            let child = self.dir(id).and_then(|dir| dir.children.get(&name).copied());
            match child {
                None => {
                    self.insert(id, &name, Made::Whiteout);
                }
                Some(child) if node.metadata().kind == NodeKind::Dir => {
                    if self.dir(child).is_some() {
                        self.hide_below(child)?;
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether the destination has a directory here that the new layer has something else in place of.
    pub(crate) fn covers_dir(&mut self, dir: NodeId, name: &[u8]) -> Result<bool, CopyError> {
        let Some(below) = self.dest_dir(dir)? else { return Ok(false) };
        let node = below.child(name)?;
        Ok(node.is_some_and(|node| node.metadata().kind == NodeKind::Dir))
    }

    /// Gives all directories that are new a time.
    pub(crate) fn set_times_of_new(&mut self, mtime: FileTime) {
        for node in &mut self.nodes {
            if let Made::Dir(dir) = &mut node.made
                && !dir.merged
            {
                dir.with.mtime = Some(mtime);
            }
        }
    }

    pub(crate) fn spool(&self) -> BorrowedFd<'a> {
        self.spool
    }

    pub(crate) fn dest(&self) -> &'a View {
        self.dest
    }
}

impl Dir {
    /// An empty directory where the destination has none.
    pub(crate) fn new(with: Attributes) -> Self {
        Self { children: BTreeMap::new(), with, merged: false, hides: false }
    }

    fn copied_up(found: &Found, xattrs: Xattrs) -> Self {
        let meta = &found.meta;
        let with = Attributes {
            owner: Owner { uid: meta.uid, gid: meta.gid },
            mode: meta.mode,
            mtime: Some(meta.mtime),
            xattrs: XattrSource::These(xattrs),
        };
        Self { children: BTreeMap::new(), with, merged: true, hides: false }
    }
}

fn xattrs_of(dest: &View, path: &[u8], found: &Found) -> Result<Xattrs, CopyError> {
    use std::os::fd::AsRawFd;
    let Some(root) = dest.layer(found.layer as usize) else { return Ok(Vec::new()) };
    let read = xattr::read(root.as_raw_fd(), path);
    Ok(read.map_err(|cause| ContextError::io("read extended attributes of", path, cause))?)
}
