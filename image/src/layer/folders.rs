//! The folders that hold a layer's files.
//!
//! Nearly always it is one. Where a layer differs little from an earlier one, it is what differs, *over* the folder of
//! that one: the change of one file among thousands makes one file and not thousands of links.
//!
//! Invariants, which whoever makes such a pair keeps: neither folder removes or hides anything of the layers below
//! (no whiteouts, no opaque directories); nothing of the base is missing in the layer, and what is a directory in
//! one is a directory in the other; no inode is in both, and neither has hard links or attributes that a layer
//! keeps. So the pair is the layer in whatever way it is looked at: mounted one over the other, as two layers of a
//! view, or merged by path.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::entry::Entry;
use super::error::LayerError;
use super::flavour::Flavour;
use super::fs as at;
use super::walk::walk;

/// Where to read a layer's files.
#[derive(Debug, Clone, Copy)]
pub struct Folders<'a> {
    pub(super) top: BorrowedFd<'a>,
    pub(super) base: Option<Base<'a>>,
}

/// The folder of the layer that another one is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) folder: BorrowedFd<'a>,
    /// What is not to be read there, since the layer has it itself.
    replaced: &'a HashSet<Vec<u8>>,
}

impl<'a> From<BorrowedFd<'a>> for Folders<'a> {
    fn from(top: BorrowedFd<'a>) -> Self {
        Self { top, base: None }
    }
}

impl Folders<'_> {
    /// Opens a file for reading.
    pub(super) fn open_file(self, path: &[u8]) -> Result<OwnedFd, LayerError> {
        let folder = match self.base {
            Some(base) if !base.replaced.contains(path) => base.folder,
            _ => self.top,
        };
        at::open_below(folder, path, at::FILE).map_err(LayerError::io("open", path))
    }
}

/// A layer's folders, open.
#[derive(Debug)]
pub struct OpenFolders {
    top: OwnedFd,
    base: Option<(OwnedFd, HashSet<Vec<u8>>)>,
}

impl OpenFolders {
    /// Those of a layer that is one folder.
    pub fn whole(folder: OwnedFd) -> Self {
        Self { top: folder, base: None }
    }

    /// Those of a layer that is what is in `top`, over `base`.
    ///
    /// # Errors
    /// When `top` cannot be listed.
    pub fn over(top: OwnedFd, base: OwnedFd, flavour: Flavour) -> Result<Self, LayerError> {
        let replaced = walk(top.as_fd().into(), flavour)?.into_iter().map(|entry| entry.path).collect();
        Ok(Self { top, base: Some((base, replaced)) })
    }

    /// The folder with what the layer has itself.
    pub fn top(&self) -> &OwnedFd {
        &self.top
    }

    /// The same, alone.
    pub fn into_top(self) -> OwnedFd {
        self.top
    }

    /// To read from.
    pub fn as_folders(&self) -> Folders<'_> {
        let base = self.base.as_ref();
        let base = base.map(|(folder, replaced)| Base { folder: folder.as_fd(), replaced });
        Folders { top: self.top.as_fd(), base }
    }

    /// All of them, the uppermost first.
    pub fn into_fds(self) -> impl Iterator<Item = OwnedFd> {
        [self.top].into_iter().chain(self.base.map(|(folder, _)| folder))
    }
}

/// Merges what is in the two folders of a layer: what is in both counts as it is in `top`.
pub(super) fn merge(top: Vec<Entry>, base: Vec<Entry>) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(top.len() + base.len());
    let mut top = top.into_iter().peekable();
    for below in base {
        while let Some(above) = top.next_if(|above| canonical(&above.path, &below.path).is_lt()) {
            merged.push(above);
        }
        match top.next_if(|above| above.path == below.path) {
            Some(above) => merged.push(above),
            None => merged.push(below),
        }
    }
    merged.extend(top);
    merged
}

/// Which of two paths comes first in canonical order: depth first, siblings by the bytes of their names.
pub fn canonical(a: &[u8], b: &[u8]) -> Ordering {
    // No name has a NUL, so a directory with all that is in it comes before `name.x` or `name-x`.
    let ordered = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    a.iter().map(ordered).cmp(b.iter().map(ordered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::EntryKind;
    use crate::time::Timestamp;

    fn entry(path: &str, mode: u32) -> Entry {
        let kind = EntryKind::File { size: 0 };
        Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: Timestamp::EPOCH, capability: None }
    }

    #[test]
    fn a_layer_over_another_is_both() {
        let base = ["a", "a/b", "a/b/c", "a.x", "z"].map(|path| entry(path, 0o644)).to_vec();
        let top = ["a", "a/a", "a/b/c", "a/b/d", "b", "zz"].map(|path| entry(path, 0o600)).to_vec();
        let merged = merge(top, base);
        let shown: Vec<String> = merged
            .iter()
            .map(|entry| format!("{} {:o}", String::from_utf8_lossy(&entry.path), entry.mode))
            .collect();
        let expected =
            ["a 600", "a/a 600", "a/b 644", "a/b/c 600", "a/b/d 600", "a.x 644", "b 600", "z 644", "zz 600"];
        assert_eq!(shown, expected);
    }
}
