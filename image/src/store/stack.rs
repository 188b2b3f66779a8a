//! What overlayfs mounts for a chain of layers.
//!
//! Overlayfs takes 500 folders, and each costs: it is looked at when the overlay is mounted, and again for every
//! directory on the way to every file. A build of many steps would mount all layers below each of them, which is
//! quadratic. So small layers stand in one folder together, [`GROUP`] at a time: `merged/<digest>/`, which is made
//! when it is first needed and holds hard links ([`layer::flatten`]).
//!
//! The other way would be an overlay on an overlay. The kernel nests no more than two, a whiteout in the inner one
//! removes nothing from what lies below it, so that only the lowest layers can be nested, and all of them are mounted
//! again for every step: it would raise the limit to a thousand and cost as much as before.
//!
//! Invariants:
//! - Layers are grouped from the lowest up, and by nothing but themselves: what is laid on top of a chain changes no
//!   group, so steps that stand on each other share their folders.
//! - A merged folder is derived. It is no layer, no identity is made of it, nothing is read from it that goes into an
//!   image: its files have more names than in their layers, which a program in a container may see, and no other
//!   difference. It is named after the boot it was made in, like layers it is not synced, and made anew after it.
//! - It is leased under its name like a layer. Every prune removes those that no running process uses: they cost
//!   little to make, and what they link would stay on the disk.

use std::collections::HashSet;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::fs;
use rustix::io::Errno;

use super::layers::Layer;
use super::lease::LayerUsers;
use super::{Store, StoreError, TempDir};
use crate::digest::LayerId;
use crate::layer::{self, LayerError};

/// The folder of the merged folders, in [`Store::path`].
pub const MERGED: &str = "merged";

/// So many folders overlayfs lays on top of each other (`OVL_MAX_STACK`), the one that takes the changes left out.
pub const MAX_FOLDERS: usize = 500;
/// So many layers are merged.
const GROUP: usize = 64;
/// Fewer are not worth a folder, where a group ends before its time.
const LEAST: usize = 8;
/// A group has no more entries than this: making a link takes about a fifth of what a folder costs a mount.
const MAX_ENTRIES: u64 = 4096;

impl Store {
    /// The folders whose overlay shows these layers, given the lowest first; the folders are the uppermost first, and
    /// none if there are no layers. They stay until this process ends.
    ///
    /// # Errors
    /// When there are too many layers even so, or a folder cannot be made.
    pub fn stack(&self, layers: &[Layer]) -> Result<Vec<PathBuf>, StoreError> {
        let entries: Vec<Option<u64>> = layers.iter().map(|layer| self.mergeable(layer)).collect();
        let mut groups = groups(&entries, MAX_ENTRIES);
        if groups.len() > MAX_FOLDERS {
            // Slow once is better than never.
            groups = self::groups(&entries, u64::MAX);
        }
        let mut folders = Vec::new();
        for group in groups.into_iter().rev() {
            match &layers[group] {
                [layer] => folders.extend(layer.paths()),
                group => match self.merged(group)? {
                    Some(folder) => folders.push(folder),
                    None => folders.extend(group.iter().rev().flat_map(Layer::paths)),
                },
            }
        }
        // What occurs again further down adds nothing to what it hides itself, and overlayfs refuses it.
        let mut seen = HashSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        if folders.len() > MAX_FOLDERS {
            return Err(StoreError::TooManyLayers { layers: layers.len() });
        }
        Ok(folders)
    }

    /// How many links it takes to merge a layer; None if there can be none, from another file system.
    fn mergeable(&self, layer: &Layer) -> Option<u64> {
        (!layer.is_below() && !self.is_read_only()).then(|| layer.entries())
    }

    /// The folder that stands for these layers; None if a file of theirs can have no more links.
    fn merged(&self, layers: &[Layer]) -> Result<Option<PathBuf>, StoreError> {
        let id = self.merged_id(layers);
        let place = merged_path(id);
        // The lease comes first, so that what is there, or will be, stays.
        if !self.with_lease(id, || Ok(self.exists(&place)))? {
            let temp = self.temp()?;
            let folder = temp.make_dir("fs", 0o755)?;
            let mut open = Vec::with_capacity(layers.len());
            for layer in layers.iter().rev() {
                open.extend(layer.open_fs()?.into_fds());
            }
            match layer::flatten(&open, folder.as_fd(), self.flavour()) {
                Ok(()) => {}
                Err(LayerError::Io { source: Errno::MLINK | Errno::XDEV, .. }) => return Ok(None),
                Err(error) => return Err(StoreError::layer(None)(error)),
            }
            self.make_folder(MERGED)?;
            match fs::renameat(temp.dir(), "fs", self.dir(), &place) {
                Ok(()) | Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(error) => return Err(StoreError::io("create", place)(error)),
            }
        }
        Ok(Some(self.path().join(place)))
    }

    fn merged_id(&self, layers: &[Layer]) -> LayerId {
        let mut hasher = blake3::Hasher::new_derive_key("rbuild 2026 merged folder");
        hasher.update(&(self.boot_id().len() as u64).to_le_bytes());
        hasher.update(self.boot_id().as_bytes());
        for layer in layers {
            hasher.update(&layer.id().0);
        }
        LayerId(*hasher.finalize().as_bytes())
    }

    /// Moves the merged folders that no process uses into a temporary folder, with which they vanish.
    pub(super) fn move_merged(&self, leased: &LayerUsers, temp: &TempDir) -> Result<(), StoreError> {
        for name in self.names_in(MERGED)? {
            if name.parse().is_ok_and(|id: LayerId| leased.contains_key(&id)) {
                continue;
            }
            let path = format!("{MERGED}/{name}");
            match fs::renameat(self.dir(), &path, temp.dir(), format!("{MERGED}-{name}")) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(StoreError::io("remove", path)(error)),
            }
        }
        Ok(())
    }
}

fn merged_path(id: LayerId) -> String {
    format!("{MERGED}/{id}")
}

/// Cuts a chain, the lowest layer first, into what one folder stands for each: single layers, and groups of at least
/// [`LEAST`] that have at most `most` entries together. Nothing that is added at the end changes a group.
fn groups(entries: &[Option<u64>], most: u64) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut sum) = (0, 0_u64);
    for (number, entries) in entries.iter().enumerate() {
        let fits = entries.map(|entries| sum.saturating_add(entries)).filter(|sum| *sum <= most);
        match (fits, entries) {
            (Some(more), _) => sum = more,
            // It begins the next group.
            (None, Some(entries)) if *entries <= most => {
                close(&mut groups, start..number);
                (start, sum) = (number, *entries);
            }
            // It stands alone.
            (None, _) => {
                close(&mut groups, start..number);
                groups.push(number..number + 1);
                (start, sum) = (number + 1, 0);
            }
        }
        if number + 1 - start == GROUP {
            groups.push(start..number + 1);
            (start, sum) = (number + 1, 0);
        }
    }
    // More may come.
    groups.extend((start..entries.len()).map(|number| number..number + 1));
    groups
}

/// Ends a group before its time.
fn close(groups: &mut Vec<Range<usize>>, group: Range<usize>) {
    if group.len() >= LEAST {
        groups.push(group);
    } else {
        groups.extend(group.map(|number| number..number + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(entries: &[Option<u64>]) -> Vec<usize> {
        groups(entries, 100).into_iter().map(|group| group.len()).collect()
    }

    #[test]
    fn small_layers_stand_together() {
        let alone = |count| vec![1; count];
        assert_eq!(lengths(&[Some(1); GROUP - 1]), alone(GROUP - 1));
        assert_eq!(lengths(&[Some(1); GROUP]), [GROUP]);
        assert_eq!(lengths(&[Some(1); 2 * GROUP + 2]), [GROUP, GROUP, 1, 1]);
        // Large ones, and those of another store, stand alone; what is below them waits no longer.
        let mut mixed = vec![Some(1); LEAST];
        mixed.push(Some(101));
        mixed.extend([Some(1); LEAST - 1]);
        mixed.push(None);
        assert_eq!(lengths(&mixed), [vec![LEAST], alone(LEAST + 1)].concat());
        // Ten of ten entries fill a group.
        assert_eq!(lengths(&[Some(10); 25]), [vec![10, 10], alone(5)].concat());
        assert_eq!(lengths(&[Some(60); 5]), alone(5));
    }

    #[test]
    fn what_is_added_on_top_changes_no_group() {
        let entries: Vec<Option<u64>> =
            (0..400_u64).map(|n| if n % 37 == 5 { None } else { Some(n * n % 130) }).collect();
        let all = groups(&entries, 100);
        for count in 0..entries.len() {
            let cut = groups(&entries[..count], 100);
            assert_eq!(cut.last().map_or(0, |group| group.end), count);
            let merged = cut.iter().filter(|group| group.len() > 1);
            assert!(merged.clone().all(|group| all.contains(group)), "{count}");
        }
    }
}
