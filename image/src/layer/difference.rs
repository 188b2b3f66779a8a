//! What differs between two file systems, path by path.
//!
//! Both are [`View`]s, so nothing is mounted. Folders that are made of the same folders of the same layers are not
//! entered, and a file that is the same inode in both is not read: two states of one build cost what they differ in.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use super::error::LayerError;
use super::fs as at;
use super::node::{DirNode, Metadata, Node, NodeKind};
use super::view::View;

/// Bytes of two files that are compared at once.
const PIECE: usize = 64 << 10;

/// One path that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Relative to the root, without a leading slash; empty for the root.
    pub path: Vec<u8>,
    /// How it was; None if it was not there.
    pub old: Option<Entity>,
    /// How it is; None if it is gone. What was below a folder that is gone is not listed.
    pub new: Option<Entity>,
    /// Its bytes differ, or the target of a link, or its capabilities; what else does is in `old` and `new`.
    pub content: bool,
}

/// One of the two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Type, mode, owner, size, times.
    pub meta: Metadata,
    /// Where a symbolic link points to.
    pub target: Option<Vec<u8>>,
}

/// Whether a change of nothing but the modification time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// It does.
    Count,
    /// It does not: whoever builds again writes again.
    Ignore,
}

/// Hands every difference to `each`, in the order of the paths, folders before what is in them.
///
/// # Errors
/// When something cannot be read, or `each` fails.
pub fn differences(
    old: &View,
    new: &View,
    times: Times,
    each: &mut dyn FnMut(Difference) -> io::Result<()>,
) -> Result<(), LayerError> {
    // A list of our own in place of recursion: layers may be as deep as they like.
    let mut open = vec![(Some(old.root().node()), Some(new.root().node()))];
    while let Some((old, new)) = open.pop() {
        if let Some(difference) = compare(old.as_ref(), new.as_ref(), times)? {
            let path = difference.path.clone();
            each(difference).map_err(|cause| LayerError::Io {
                action: "report",
                path,
                source: rustix::io::Errno::from_io_error(&cause).unwrap_or(rustix::io::Errno::IO),
            })?;
        }
        let (old, new) = (folder(old.as_ref())?, folder(new.as_ref())?);
        let Some(new) = new else { continue };
        if old.as_ref().is_some_and(|old| is_same(old, &new)) {
            continue;
        }
        let before = old.map(|old| old.children()).transpose()?.unwrap_or_default();
        open.extend(pairs(before, new.children()?).into_iter().rev());
    }
    Ok(())
}

fn folder(node: Option<&Node>) -> Result<Option<DirNode>, LayerError> {
    node.map_or(Ok(None), Node::dir)
}

/// Made of the same folders.
fn is_same(old: &DirNode, new: &DirNode) -> bool {
    let inode = |fd: &std::os::fd::OwnedFd| {
        at::stat(fd.as_fd()).map(|stat| (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino))
    };
    let (old, new) = (old.parts(), new.parts());
    old.len() == new.len()
        && old.iter().zip(new).all(|(old, new)| matches!((inode(old), inode(new)), (Ok(a), Ok(b)) if a == b))
}

type Pair = (Option<Node>, Option<Node>);

/// Two sorted listings as one.
fn pairs(old: Vec<Node>, new: Vec<Node>) -> Vec<Pair> {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => old.name().cmp(new.name()),
        };
        let takes_old = order.is_le();
        let takes_new = order.is_ge();
        pairs.push((old.next_if(|_| takes_old), new.next_if(|_| takes_new)));
    }
}

fn compare(old: Option<&Node>, new: Option<&Node>, times: Times) -> Result<Option<Difference>, LayerError> {
    let Some(present) = new.or(old) else { return Ok(None) };
    let content = match (old, new) {
        (Some(old), Some(new)) => {
            if old.metadata().inode == new.metadata().inode {
                return Ok(None);
            }
            has_other_content(old, new)?
        }
        _ => false,
    };
    let is_difference = match (old, new) {
        (Some(old), Some(new)) => {
            content || attributes(old.metadata(), times) != attributes(new.metadata(), times)
        }
        _ => true,
    };
    if !is_difference {
        return Ok(None);
    }
    let path = present.path()?;
    let (old, new) = (old.map(entity).transpose()?, new.map(entity).transpose()?);
    Ok(Some(Difference { path, old, new, content }))
}

/// What is compared as it is. Sizes of folders say nothing, and links have no mode of their own.
fn attributes(meta: &Metadata, times: Times) -> (NodeKind, u32, u32, u32, Option<crate::time::Timestamp>) {
    let mode = if meta.kind == NodeKind::Symlink { 0 } else { meta.mode };
    (meta.kind, mode, meta.uid, meta.gid, (times == Times::Count).then_some(meta.mtime))
}

fn entity(node: &Node) -> Result<Entity, LayerError> {
    let meta = node.metadata().clone();
    let target = if meta.kind == NodeKind::Symlink { Some(node.read_link()?) } else { None };
    Ok(Entity { meta, target })
}

fn has_other_content(old: &Node, new: &Node) -> Result<bool, LayerError> {
    let (was, is) = (old.metadata(), new.metadata());
    match (was.kind, is.kind) {
        (NodeKind::File, NodeKind::File) => Ok(was.size != is.size
            || old.capability()? != new.capability()?
            || has_other_bytes(File::from(old.open()?), File::from(new.open()?)).map_err(|cause| {
                LayerError::Io {
                    action: "read",
                    path: new.path().unwrap_or_default(),
                    source: rustix::io::Errno::from_io_error(&cause).unwrap_or(rustix::io::Errno::IO),
                }
            })?),
        (NodeKind::Symlink, NodeKind::Symlink) => Ok(old.read_link()? != new.read_link()?),
        _ => Ok(false),
    }
}

fn has_other_bytes(mut old: File, mut new: File) -> io::Result<bool> {
    let (mut was, mut is) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let (count, other) = (fill(&mut old, &mut was)?, fill(&mut new, &mut is)?);
        if was[..count] != is[..other] {
            return Ok(true);
        }
        if count == 0 {
            return Ok(false);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
