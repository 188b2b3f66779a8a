//! A layer that is little over an earlier one: of twenty thousand files one was changed.
//!
//! Linking to all that did not change costs a system call a file, twice as much as looking at the context. So such a
//! layer is only what differs, over the earlier one (`rbuild_image::layer::Folders`, whose invariants are kept here).
//! That is done where it can be told beforehand that the two are the layer: the earlier one is known entry by entry, and
//! nothing of it has gone; nothing that is below the layer is hidden or replaced; no extended attributes, no hard links.

use rbuild_image::digest::LayerId;
use rbuild_image::layer::{EntryKind, KnownContents, canonical};

use super::error::CopyError;
use super::listing::Planned;
use super::reuse::{Base, Reuse};
use super::seen::{Seen, What};
use super::select::Selection;
use super::tree::{Made, NodeId, ROOT, Tree, XattrSource};

/// Of fewer entries all can be linked in a few milliseconds. In a program for tests nearly all layers are made this
/// way where it is possible, since what the tests build is small.
const LEAST: usize = if cfg!(debug_assertions) { 2 } else { 512 };
/// One in so many entries, and bytes, may differ. More are linked, and from then on this is the layer that others are
/// over.
const SHARE: u64 = if cfg!(debug_assertions) { 1 } else { 8 };

/// How a layer is over another.
pub(super) struct Part {
    /// The other.
    pub(super) base: LayerId,
    /// What is in the files that are the other's, by path.
    pub(super) contents: KnownContents,
    /// How many bytes that is.
    pub(super) bytes: u64,
}

/// Finds out whether the layer that is `planned` can be over one that `reuse` knows. If so, only what differs stays in
/// the tree; if not, the layer can be what the next one is over.
pub(super) fn part(
    tree: &mut Tree<'_>,
    selection: &Selection,
    planned: &[Planned],
    reuse: &dyn Reuse,
) -> Result<Option<Part>, CopyError> {
    let may_be = planned.len() >= LEAST && selection.is_plain() && !has_attributes(tree);
    let base = reuse.base().filter(|_| may_be);
    let compared = match base.and_then(|base| compare(planned, base)) {
        Some(compared) if only_adds(tree, ROOT)? => Some(compared),
        _ => None,
    };
    let Some((part, differs)) = compared else {
        reuse.all(planned);
        return Ok(None);
    };
    let differing = planned.iter().zip(differs).filter(|(_, differs)| *differs);
    prune(tree, differing.map(|(planned, _)| planned.node));
    Ok(Some(part))
}

/// Leaves these nodes in the tree, and the directories that lead there.
fn prune(tree: &mut Tree<'_>, nodes: impl Iterator<Item = NodeId>) {
    let mut stays = vec![false; tree.nodes.len()];
    for mut node in nodes {
        while !stays[node] {
            stays[node] = true;
            node = tree.nodes[node].parent;
        }
    }
    for node in &mut tree.nodes {
        if let Made::Dir(dir) = &mut node.made {
            dir.children.retain(|_, child| stays[*child]);
        }
    }
}

/// What the layer has of the base, and for each of its entries whether it differs. None where something of the base is
/// missing, or too much differs.
fn compare(planned: &[Planned], base: Base<'_>) -> Option<(Part, Vec<bool>)> {
    let contents = KnownContents::with_capacity(planned.len());
    let mut part = Part { base: base.layer, contents, bytes: 0 };
    let mut differs = vec![true; planned.len()];
    let mut new = planned.iter().enumerate();
    let mut all = 0;
    for there in base.entries {
        let (number, here) = new.find(|(_, here)| canonical(&here.entry.path, there.path).is_ge())?;
        if here.entry.path != there.path || is_dir(here) != (there.what == What::Dir) {
            return None;
        }
        if Seen::of(&here.entry, here.content) == Some(there) {
            differs[number] = false;
            if let What::File { content, size } = there.what {
                let content = if size == 0 { *blake3::hash(&[]).as_bytes() } else { content };
                part.contents.insert(here.entry.path.clone(), content);
            }
            part.bytes += size(here);
        }
    }
    for planned in planned {
        // Whiteouts are of the layers below, not of the base.
        if planned.entry.kind == EntryKind::Whiteout {
            return None;
        }
        all += size(planned);
    }
    let differing = differs.iter().filter(|differs| **differs).count();
    let is_little = differing as u64 * SHARE <= planned.len() as u64 && (all - part.bytes) * SHARE <= all;
    is_little.then_some((part, differs))
}

fn is_dir(planned: &Planned) -> bool {
    matches!(planned.entry.kind, EntryKind::Dir { .. })
}

fn size(planned: &Planned) -> u64 {
    if let EntryKind::File { size } = planned.entry.kind { size } else { 0 }
}

/// Those of the source were looked at for the key; here are those of directories of the destination.
fn has_attributes(tree: &Tree<'_>) -> bool {
    let attributes = tree.nodes.iter().filter_map(|node| node.made.attributes());
    attributes.into_iter().any(|with| matches!(&with.xattrs, XattrSource::These(these) if !these.is_empty()))
}

/// Whether everything at and below a directory is new to the destination. Then nothing of it is as it was there, which
/// would not be a change and not be in the layer (spec 8.2).
fn only_adds(tree: &Tree<'_>, id: NodeId) -> Result<bool, CopyError> {
    let Some(dir) = tree.dir(id).filter(|dir| dir.merged) else { return Ok(true) };
    let below = tree.dest().dir(&tree.path(id))?;
    for (name, child) in &dir.children {
        let new = match tree.dir(*child) {
            Some(_) => only_adds(tree, *child)?,
            None => match &below {
                Some(below) => below.child(name)?.is_none(),
                None => true,
            },
        };
        if !new {
            return Ok(false);
        }
    }
    Ok(!dir.children.is_empty())
}
