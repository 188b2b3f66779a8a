//! A layer's entries in canonical order.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rayon::prelude::*;
use rustix::fs::{self, FileType, Statx};

use super::entry::{CAPABILITY, Entry, EntryKind, file_type, is_whiteout, mtime, permissions};
use super::error::LayerError;
use super::flavour::Flavour;
use super::folders::{self, Folders};
use super::fs as at;

/// So many directories of one depth are worth more than one thread.
const PARALLEL_DIRS: usize = 24;
/// So many files are worth more than one thread when each has to be opened.
const PARALLEL_FILES: usize = 256;

/// Lists a layer: every entry in `folders` in canonical order, sockets left out.
///
/// # Errors
/// When something cannot be read, or a path is longer than 16 KiB.
pub fn entries<'a>(folders: impl Into<Folders<'a>>, flavour: Flavour) -> Result<Vec<Entry>, LayerError> {
    let folders = folders.into();
    let mut entries = walk(folders, flavour)?;
    let read = |entry: &mut Entry| -> Result<(), LayerError> {
        if matches!(entry.kind, EntryKind::File { .. }) {
            let file = folders.open_file(&entry.path)?;
            entry.capability = capability(file.as_fd(), &entry.path)?;
        }
        Ok(())
    };
    if entries.len() < PARALLEL_FILES {
        entries.iter_mut().try_for_each(read)?;
    } else {
        entries.par_iter_mut().with_min_len(64).try_for_each(read)?;
    }
    Ok(entries)
}

/// The file capabilities of an open file.
pub(super) fn capability(file: BorrowedFd<'_>, path: &[u8]) -> Result<Option<Vec<u8>>, LayerError> {
    at::attribute(file, CAPABILITY).map_err(LayerError::io("read the capabilities of", path))
}

/// As [`entries`], but without the capabilities of regular files: whoever reads a file's content has it open
/// anyway and asks then.
pub(super) fn walk(folders: Folders<'_>, flavour: Flavour) -> Result<Vec<Entry>, LayerError> {
    let top = walk_folder(folders.top, flavour)?;
    match folders.base {
        None => Ok(top),
        Some(base) => Ok(folders::merge(top, walk_folder(base.folder, flavour)?)),
    }
}

fn walk_folder(root: BorrowedFd<'_>, flavour: Flavour) -> Result<Vec<Entry>, LayerError> {
    let mut listings = vec![list(root, Vec::new(), flavour)?];
    let mut level = 0..1;
    while !level.is_empty() {
        let paths = listings[level.clone()]
            .iter()
            .flat_map(Listing::subdirectories)
            .collect::<Result<Vec<_>, _>>()?;
        let next = if paths.len() < PARALLEL_DIRS {
            paths.into_iter().map(|path| list(root, path, flavour)).collect::<Result<Vec<_>, _>>()?
        } else {
            paths.into_par_iter().map(|path| list(root, path, flavour)).collect::<Result<Vec<_>, _>>()?
        };
        let start = listings.len();
        number(&mut listings[level], start);
        listings.extend(next);
        level = start..listings.len();
    }
    assemble(listings)
}

/// One directory as it was read. Directories are read level by level, never recursively: neither stack nor open
/// files grow with the depth that a layer chose to have.
struct Listing {
    path: Vec<u8>,
    opaque: bool,
    capability: Option<Vec<u8>>,
    children: Vec<Child>,
}

struct Child {
    name: Box<CStr>,
    stat: Statx,
    target: Option<Vec<u8>>,
    /// Which listing is this directory's.
    listing: usize,
}

impl Child {
    fn is_dir(&self) -> bool {
        file_type(&self.stat) == FileType::Directory
    }
}

impl Listing {
    fn subdirectories(&self) -> impl Iterator<Item = Result<Vec<u8>, LayerError>> {
        self.children
            .iter()
            .filter(|child| child.is_dir())
            .map(|child| at::join(&self.path, child.name.to_bytes()))
    }
}

fn number(level: &mut [Listing], start: usize) {
    let directories =
        level.iter_mut().flat_map(|listing| &mut listing.children).filter(|child| child.is_dir());
    for (index, child) in directories.enumerate() {
        child.listing = start + index;
    }
}

fn list(root: BorrowedFd<'_>, path: Vec<u8>, flavour: Flavour) -> Result<Listing, LayerError> {
    let dir = at::open_below(root, &path, at::DIR).map_err(LayerError::io("open", &path))?;
    let (opaque, capability) =
        at::dir_attributes(dir.as_fd(), flavour).map_err(LayerError::io("read the attributes of", &path))?;
    let mut names = at::names(dir.as_fd()).map_err(LayerError::io("list", &path))?;
    names.sort_unstable_by(|a, b| a.0.to_bytes().cmp(b.0.to_bytes()));
    let mut children = Vec::with_capacity(names.len());
    for (name, _) in names {
        let here = |action| LayerError::child(action, &path, name.to_bytes());
        let stat = flavour.owners().stat_at(dir.as_fd(), name.to_bytes()).map_err(here("stat"))?;
        let target = match file_type(&stat) {
            FileType::Socket => continue,
            FileType::Symlink => {
                let target = fs::readlinkat(&dir, &*name, Vec::new()).map_err(here("read the link"))?;
                Some(target.into_bytes())
            }
            _ => None,
        };
        children.push(Child { name, stat, target, listing: 0 });
    }
    Ok(Listing { path, opaque, capability, children })
}

/// Depth first, and hard links found: the first path of an inode is the entry, the others point to it.
fn assemble(mut listings: Vec<Listing>) -> Result<Vec<Entry>, LayerError> {
    let mut entries = Vec::with_capacity(listings.iter().map(|listing| listing.children.len()).sum());
    let mut first_paths: HashMap<(u32, u32, u64), Vec<u8>> = HashMap::new();
    let mut open = vec![(0, std::mem::take(&mut listings[0].children).into_iter())];
    while let Some((listing, children)) = open.last_mut() {
        let Some(child) = children.next() else {
            open.pop();
            continue;
        };
        let path = at::join(&listings[*listing].path, child.name.to_bytes())?;
        let mut entry = entry(path, &child);
        if child.is_dir() {
            let below = &mut listings[child.listing];
            entry.kind = EntryKind::Dir { opaque: below.opaque };
            entry.capability = below.capability.take();
            open.push((child.listing, std::mem::take(&mut below.children).into_iter()));
        } else if child.stat.stx_nlink > 1 && entry.kind != EntryKind::Whiteout {
            let inode = (child.stat.stx_dev_major, child.stat.stx_dev_minor, child.stat.stx_ino);
            if let Some(first) = first_paths.get(&inode) {
                entry.kind = EntryKind::Hardlink(first.clone());
            } else {
                first_paths.insert(inode, entry.path.clone());
            }
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(path: Vec<u8>, child: &Child) -> Entry {
    let stat = &child.stat;
    if is_whiteout(stat) {
        return Entry::whiteout(path);
    }
    let (major, minor) = (stat.stx_rdev_major, stat.stx_rdev_minor);
    let kind = match file_type(stat) {
        FileType::Directory => EntryKind::Dir { opaque: false },
        FileType::Symlink => EntryKind::Symlink(child.target.clone().unwrap_or_default()),
        FileType::CharacterDevice => EntryKind::Char { major, minor },
        FileType::BlockDevice => EntryKind::Block { major, minor },
        FileType::Fifo => EntryKind::Fifo,
        _ => EntryKind::File { size: stat.stx_size },
    };
    Entry {
        path,
        kind,
        mode: permissions(stat),
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        mtime: mtime(stat),
        capability: None,
    }
}
