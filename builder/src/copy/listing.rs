//! What a layer consists of that is going to be written, without reading it again.
//!
//! Known is only what is planned and will surely come true. Where the file system has a say (extended attributes, which
//! it may refuse; the order of a file's names) nothing is said, and the layer is read.

use rbuild_image::layer::{Entry, EntryKind};
use rbuild_image::time::Timestamp;

use super::tree::{Attributes, Content, Made, NodeId, ROOT, Tree};
use crate::context::path::join;
use crate::context::{ContentHash, FileTime};

/// An entry of the layer in the making.
#[derive(Debug, Clone)]
pub struct Planned {
    /// As it will be.
    pub entry: Entry,
    /// BLAKE3 of a file's content, if that is known before it is read.
    pub content: Option<ContentHash>,
    /// Where it is in the tree.
    pub(super) node: NodeId,
}

/// The entries of the layer in canonical order, if all of them are known. `new` is the time of those that were given
/// none, `known` what is known of a file's content.
pub(super) fn planned(
    tree: &Tree<'_>,
    new: FileTime,
    known: impl Fn(&Content) -> Option<ContentHash>,
) -> Option<Vec<Planned>> {
    let mut listing = Listing { tree, new, known, planned: Vec::with_capacity(tree.nodes.len()) };
    listing.below(ROOT, b"")?;
    Some(listing.planned)
}

struct Listing<'t, 'a, K> {
    tree: &'t Tree<'a>,
    new: FileTime,
    known: K,
    planned: Vec<Planned>,
}

impl<K: Fn(&Content) -> Option<ContentHash>> Listing<'_, '_, K> {
    fn below(&mut self, id: NodeId, path: &[u8]) -> Option<()> {
        for (name, &node) in &self.tree.dir(id)?.children {
            let path = join(path, name);
            let (kind, with, mode) = match &self.tree.nodes[node].made {
                Made::Dir(dir) => (EntryKind::Dir { opaque: false }, &dir.with, dir.with.mode),
                Made::File { content, with } => (EntryKind::File { size: size(content) }, with, with.mode),
                Made::Symlink { target, with } => (EntryKind::Symlink(target.clone()), with, 0o777),
                Made::Whiteout => {
                    self.planned.push(Planned { entry: Entry::whiteout(path), content: None, node });
                    continue;
                }
                Made::Special { .. } | Made::Link(_) => return None,
            };
            let content = match &self.tree.nodes[node].made {
                Made::File { content, .. } => (self.known)(content),
                _ => None,
            };
            let is_dir = matches!(kind, EntryKind::Dir { .. });
            let entry = entry(path.clone(), kind, with, mode, with.mtime.unwrap_or(self.new));
            self.planned.push(Planned { entry, content, node });
            if is_dir {
                self.below(node, &path)?;
            }
        }
        Some(())
    }
}

fn entry(path: Vec<u8>, kind: EntryKind, with: &Attributes, mode: u32, mtime: FileTime) -> Entry {
    let mtime = Timestamp::new(mtime.secs, mtime.nanos);
    Entry { path, kind, mode, uid: with.owner.uid, gid: with.owner.gid, mtime, capability: None }
}

fn size(content: &Content) -> u64 {
    match content {
        Content::Source(found, _) | Content::Dest(found, _) => found.meta.size,
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::Range { size, .. } => *size,
    }
}
