//! The merged tree of a chain of layers, without mounting it.
//!
//! Here is the way from a path to what is there; what that can be asked is in `node`.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::error::LayerError;
use super::flavour::Flavour;
use super::fs as at;
use super::node::{DirNode, Node, NodeKind};

/// Links on one way, as the kernel's own path walk does not allow either (spec, appendix A).
const MAX_LINKS: usize = 255;
/// Directories that are kept open for the next lookup.
const CACHED_DIRS: usize = 32;

/// A chain of layers seen as one file system. Cheap to ask from many threads.
pub struct View {
    root: DirNode,
    recent: Mutex<HashMap<Vec<u8>, DirNode>>,
}

/// What a lookup does with a symlink at the end of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Goes on to what it points to.
    Last,
    /// Stops at the link itself. Links before the last component are followed all the same.
    Never,
}

/// Where a lookup ended.
#[derive(Debug, Clone)]
pub struct Located {
    /// The path without symlinks, relative to the root, empty for the root. What does not exist is appended as it
    /// was written (`..` taken lexically).
    pub path: Vec<u8>,
    /// What is there.
    pub node: Option<Node>,
}

impl View {
    /// Layers from the uppermost to the lowest; none is an empty file system.
    pub fn new(layers: Vec<OwnedFd>, flavour: Flavour) -> Self {
        Self { root: DirNode::root(layers, flavour), recent: Mutex::default() }
    }

    /// The root directory.
    pub fn root(&self) -> &DirNode {
        &self.root
    }

    /// The root directory of one layer, by its number from the uppermost (0); see [`Node::layer`].
    pub fn layer(&self, number: usize) -> Option<BorrowedFd<'_>> {
        self.root.parts().get(number).map(AsFd::as_fd)
    }

    /// Resolves a path (absolute or not, it starts at the root) inside of the view: links are followed within it,
    /// `..` at the root stays there. A component that is missing is no error.
    ///
    /// # Errors
    /// More than 255 links, a component that is no directory, or a failing system call.
    pub fn locate(&self, path: &[u8], follow: Follow) -> Result<Located, LayerError> {
        let too_many = || LayerError::TooManyLinks { path: path.to_vec() };
        let mut rest: Vec<Vec<u8>> = components(path);
        let mut dir = self.root.clone();
        let mut ancestors: Vec<DirNode> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == b".." {
                dir = ancestors.pop().unwrap_or(dir);
                continue;
            }
            let Some(node) = self.step(&dir, &name)? else {
                return lexically(dir.path(), name, rest);
            };
            match node.metadata().kind {
                NodeKind::Symlink if !rest.is_empty() || follow == Follow::Last => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(too_many());
                    }
                    let target = node.read_link()?;
                    if target.first() == Some(&b'/') {
                        dir = self.root.clone();
                        ancestors.clear();
                    }
                    rest.extend(components(&target));
                }
                NodeKind::Dir if !rest.is_empty() => {
                    let below = self.enter(&node)?;
                    ancestors.push(std::mem::replace(&mut dir, below));
                }
                _ if rest.is_empty() => return Ok(Located { path: node.path()?, node: Some(node) }),
                _ => return Err(LayerError::NotADirectory { path: node.path()? }),
            }
        }
        Ok(Located { path: dir.path().to_vec(), node: Some(dir.node()) })
    }

    /// What is at `path`, or None. See [`View::locate`].
    ///
    /// # Errors
    /// As [`View::locate`].
    pub fn lookup(&self, path: &[u8], follow: Follow) -> Result<Option<Node>, LayerError> {
        Ok(self.locate(path, follow)?.node)
    }

    /// The directory at `path`, links followed; None when there is none or something else is there.
    ///
    /// # Errors
    /// As [`View::locate`].
    pub fn dir(&self, path: &[u8]) -> Result<Option<DirNode>, LayerError> {
        match self.lookup(path, Follow::Last)? {
            Some(node) => node.dir(),
            None => Ok(None),
        }
    }

    fn step(&self, dir: &DirNode, name: &[u8]) -> Result<Option<Node>, LayerError> {
        dir.child(name)
    }

    /// As [`Node::dir`], remembering the directories that were opened last: the paths of one COPY share theirs.
    fn enter(&self, node: &Node) -> Result<DirNode, LayerError> {
        let path = node.path()?;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = recent.get(&path) {
            return Ok(dir.clone());
        }
        let dir = node.dir()?.ok_or_else(|| LayerError::NotADirectory { path: path.clone() })?;
        if recent.len() >= CACHED_DIRS {
            recent.clear();
        }
        recent.insert(path, dir.clone());
        Ok(dir)
    }
}

/// The components of a path, last first, without empty ones and `.`.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(<[u8]>::to_vec)
        .collect();
    parts.reverse();
    parts
}

fn lexically(dir: &[u8], missing: Vec<u8>, mut rest: Vec<Vec<u8>>) -> Result<Located, LayerError> {
    let mut parts: Vec<Vec<u8>> = components(dir);
    parts.reverse();
    parts.push(missing);
    while let Some(name) = rest.pop() {
        if name == b".." {
            parts.pop();
        } else {
            parts.push(name);
        }
    }
    let path = parts.join(&b'/');
    if path.len() > at::MAX_PATH {
        return Err(LayerError::TooDeep { path, limit: at::MAX_PATH });
    }
    Ok(Located { path, node: None })
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("root", &self.root).finish_non_exhaustive()
    }
}
