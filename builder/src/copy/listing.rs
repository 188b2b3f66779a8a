//! What a layer consists of that was written just now, without reading it again.
//!
//! Known is only what was planned and surely came true. Where the file system has a say (extended attributes, which it
//! may refuse; the order of a file's names) nothing is said, and the layer is read.

use rbuild_image::layer::{Entry, EntryKind, Listing};
use rbuild_image::time::Timestamp;

use super::tree::{Attributes, Content, Made, NodeId, ROOT, Tree};
use crate::context::FileTime;
use crate::context::path::join;

/// The entries of the layer, if all of them are known. `new` is the time of those that were given none.
pub(super) fn listing(tree: &Tree<'_>, new: FileTime) -> Option<Listing> {
    let mut entries = Vec::with_capacity(tree.nodes.len());
    below(tree, ROOT, b"", new, &mut entries)?;
    Some(Listing::new(entries))
}

fn below(tree: &Tree<'_>, id: NodeId, path: &[u8], new: FileTime, entries: &mut Vec<Entry>) -> Option<()> {
    for (name, &child) in &tree.dir(id)?.children {
        let path = join(path, name);
        match &tree.nodes[child].made {
            Made::Dir(dir) => {
                let mtime = dir.with.mtime.unwrap_or(new);
                let kind = EntryKind::Dir { opaque: false };
                entries.push(entry(path.clone(), kind, &dir.with, dir.with.mode, mtime));
                below(tree, child, &path, new, entries)?;
            }
            Made::File { content, with } => {
                let kind = EntryKind::File { size: size(content) };
                entries.push(entry(path, kind, with, with.mode, with.mtime.unwrap_or(new)));
            }
            Made::Symlink { target, with } => {
                let kind = EntryKind::Symlink(target.clone());
                entries.push(entry(path, kind, with, 0o777, with.mtime.unwrap_or(new)));
            }
            Made::Whiteout => entries.push(Entry::whiteout(path)),
            Made::Special { .. } | Made::Link(_) => return None,
        }
    }
    Some(())
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
