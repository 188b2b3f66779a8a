//! What a selection contributes to a cache key: everything that ends up in the layer, except times (spec 7.3).

use std::borrow::Cow;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::error::CopyError;
use super::select::{Pick, Selection};
use crate::context::path::join;
use crate::context::xattr::{self, Xattrs};
use crate::context::{ContentHash, Item, Kind, Known, Meta};

/// Changes with every change of what is hashed below.
const FORMAT: &[u8] = b"rbuild copy 2\0";
/// Bytes of records that are hashed in one go.
const PIECE: usize = 64 * 1024;
/// Fewer items than this are not worth a thread of their own.
const AT_ONCE: usize = 64;

/// The digest of a selection, and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyDigest {
    /// BLAKE3 over all records.
    pub digest: [u8; 32],
    /// One for each entry, in the order in which they are copied.
    pub records: Vec<FileRecord>,
}

/// An entry as it would stand in the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Which of the sources (or matches of a wildcard) it belongs to.
    pub source: u32,
    /// Relative to the destination: below a copied directory, or the name of a single file.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions after `--chmod`.
    pub mode: u32,
    /// Owner after `--chown`.
    pub uid: u32,
    /// Group after `--chown`.
    pub gid: u32,
    /// Bytes of a regular file.
    pub size: u64,
    /// BLAKE3 of a regular file's content, else zeros.
    pub content: ContentHash,
    /// All of [`Details`], hashed; zeros if there are none.
    pub rest: [u8; 32],
    /// What the digests stand for, for explanations only. None if there is nothing, or nobody knows any more.
    pub details: Option<Box<Details>>,
}

/// What only some entries have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Target of a symbolic link, verbatim.
    pub target: Option<Vec<u8>>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// The earlier entry of which this is a further name.
    pub hard_link: Option<Vec<u8>>,
    /// Extended attributes that count.
    pub xattrs: Xattrs,
    /// Path of a checkout, which begins with its commit.
    pub checkout: Option<Vec<u8>>,
}

/// Digests a selection. Files are read only if the hash cache does not know them.
///
/// # Errors
/// A file cannot be read or changed meanwhile.
pub fn digest(selection: &Selection) -> Result<CopyDigest, CopyError> {
    selection.plain.store(true, Ordering::Relaxed);
    let mut records = Vec::new();
    for (index, pick) in selection.picks.iter().enumerate() {
        let source = u32::try_from(index).unwrap_or(u32::MAX);
        match pick {
            Pick::Tree { at, identity: Some(identity), .. } => {
                selection.plain.store(false, Ordering::Relaxed);
                let details = Details { checkout: Some(at.clone()), ..Details::default() };
                let details = Some(Box::new(details));
                records.push(FileRecord { content: *identity, details, ..FileRecord::top(source) });
            }
            Pick::Tree { at, items, identity: None, .. } => {
                let top = FileRecord::top(source);
                records.push(match selection.rules.top {
                    Some((owner, mode)) => FileRecord { mode, uid: owner.uid, gid: owner.gid, ..top },
                    None => top,
                });
                let first_links = first_links(items);
                let made: Result<Vec<_>, CopyError> = items
                    .par_iter()
                    .with_min_len(AT_ONCE)
                    .zip(first_links)
                    .map(|(item, link)| {
                        let link = link.map(|first| &items[first].path[..]);
                        record(selection, source, At::Below(at), item.path.clone(), item, link)
                    })
                    .collect();
                records.extend(made?);
            }
            Pick::File { at, name, item } => {
                records.push(record(selection, source, At::Path(at), name.clone(), item, None)?);
            }
            Pick::Inline { name, data } => {
                let content = *blake3::hash(data).as_bytes();
                records.push(made_up(selection, source, name, 0o644, data.len() as u64, content)?);
            }
            Pick::Fetched(it) => {
                records.push(made_up(selection, source, &it.name, 0o600, it.size, it.content)?);
            }
        }
    }
    Ok(CopyDigest { digest: hash_all(&records), records })
}

/// BLAKE3 takes long pieces several times as fast as short ones.
fn hash_all(records: &[FileRecord]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut piece = Vec::with_capacity(PIECE + 8 * 1024);
    piece.extend_from_slice(FORMAT);
    for record in records {
        record.put_into(&mut piece);
        if piece.len() >= PIECE {
            hasher.update(&piece);
            piece.clear();
        }
    }
    *hasher.update(&piece).finalize().as_bytes()
}

/// Where an item is in the source; the path is put together only for those that are not in memory.
#[derive(Clone, Copy)]
enum At<'a> {
    Path(&'a [u8]),
    /// In this directory, at the item's own path.
    Below(&'a [u8]),
}

impl At<'_> {
    fn path(self, item: &Item) -> Vec<u8> {
        match self {
            Self::Path(path) => path.to_vec(),
            Self::Below(top) => join(top, &item.path),
        }
    }
}

/// For every item that is a further name of an earlier one, the index of that.
fn first_links(items: &[Item]) -> Vec<Option<usize>> {
    let mut seen = std::collections::HashMap::new();
    let is_shared = |item: &Item| item.meta.kind == Kind::File && item.meta.links > 1;
    let earlier = |(index, item): (usize, &Item)| {
        if !is_shared(item) {
            return None;
        }
        let first = *seen.entry((item.layer, item.meta.inode)).or_insert(index);
        (first != index).then_some(first)
    };
    items.iter().enumerate().map(earlier).collect()
}

fn record(
    selection: &Selection,
    source: u32,
    at: At<'_>,
    path: Vec<u8>,
    item: &Item,
    link: Option<&[u8]>,
) -> Result<FileRecord, CopyError> {
    let meta = &item.meta;
    let owner = selection.rules.owner(meta);
    let remembered = match meta.kind {
        Kind::File | Kind::Dir => selection.source.remembered(meta),
        _ => None,
    };
    let known = match remembered {
        Some(known) => known,
        None => look(selection, &at.path(item), item)?,
    };
    let mut xattrs = Vec::new();
    if known.has_xattrs {
        selection.plain.store(false, Ordering::Relaxed);
        xattrs = selection.source.xattrs(&at.path(item), item.layer)?;
    }
    let details = Details::of(item, xattrs, link);
    Ok(FileRecord {
        source,
        path,
        kind: meta.kind,
        mode: selection.rules.mode(meta)?,
        uid: owner.uid,
        gid: owner.gid,
        size: meta.size,
        content: known.content,
        rest: details.digest(),
        details: (details != Details::default()).then(|| Box::new(details)),
    })
}

/// Reads what no memory knows about an entry.
fn look(selection: &Selection, from: &[u8], item: &Item) -> Result<Known, CopyError> {
    let source = &selection.source;
    if !matches!(item.meta.kind, Kind::File | Kind::Dir) {
        let has_xattrs = !source.xattrs(from, item.layer)?.is_empty();
        return Ok(Known { content: [0; 32], has_xattrs });
    }
    let (known, remembered) = source.known(from, item.layer, &item.meta)?;
    if !remembered && item.meta.kind == Kind::File {
        let mut hashed = selection.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.insert(from.to_vec(), known.content);
    }
    Ok(known)
}

impl Details {
    fn of(item: &Item, mut xattrs: Xattrs, hard_link: Option<&[u8]>) -> Self {
        xattrs.retain(|(name, _)| xattr::counts(name));
        let is_device = matches!(item.meta.kind, Kind::Char | Kind::Block);
        Self {
            target: item.link.clone(),
            device: is_device.then_some(item.meta.device),
            hard_link: hard_link.map(<[u8]>::to_vec),
            xattrs,
            checkout: None,
        }
    }

    fn digest(&self) -> [u8; 32] {
        let mut fields: Vec<(u8, Cow<'_, [u8]>)> = Vec::new();
        fields.extend(self.target.iter().map(|target| (b'l', target.into())));
        if let Some((major, minor)) = self.device {
            fields.push((b'd', [major.to_le_bytes(), minor.to_le_bytes()].concat().into()));
        }
        fields.extend(self.hard_link.iter().map(|first| (b'h', first.into())));
        for (name, value) in &self.xattrs {
            fields.push((b'n', name.into()));
            fields.push((b'v', value.into()));
        }
        if fields.is_empty() {
            return [0; 32];
        }
        let mut hasher = blake3::Hasher::new();
        for (tag, field) in fields {
            hasher.update(&[tag]);
            field_into(&mut hasher, &field);
        }
        *hasher.finalize().as_bytes()
    }
}

fn made_up(
    selection: &Selection,
    source: u32,
    name: &[u8],
    mode: u32,
    size: u64,
    content: ContentHash,
) -> Result<FileRecord, CopyError> {
    let mut meta = Meta::of_nothing();
    (meta.kind, meta.mode) = (Kind::File, mode);
    let owner = selection.rules.owner(&meta);
    Ok(FileRecord {
        source,
        path: name.to_vec(),
        kind: Kind::File,
        mode: selection.rules.mode(&meta)?,
        uid: owner.uid,
        gid: owner.gid,
        size,
        content,
        rest: [0; 32],
        details: None,
    })
}

impl FileRecord {
    /// A copied directory itself: nothing of it gets into the layer but its time, unless a mount is to show it.
    fn top(source: u32) -> Self {
        Self {
            source,
            path: Vec::new(),
            kind: Kind::Dir,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            content: [0; 32],
            rest: [0; 32],
            details: None,
        }
    }

    /// See [`Details`].
    pub(crate) fn details(&self) -> Option<&Details> {
        self.details.as_deref()
    }

    fn put_into(&self, piece: &mut Vec<u8>) {
        let Self { source, path, kind, mode, uid, gid, size, content, rest, details: _ } = self;
        piece.extend_from_slice(&source.to_le_bytes());
        piece.extend_from_slice(&(path.len() as u64).to_le_bytes());
        piece.extend_from_slice(path);
        piece.push(match kind {
            Kind::File => b'f',
            Kind::Dir => b'd',
            Kind::Symlink => b'l',
            Kind::Char => b'c',
            Kind::Block => b'b',
            Kind::Fifo => b'p',
            Kind::Socket => b's',
        });
        for number in [mode, uid, gid] {
            piece.extend_from_slice(&number.to_le_bytes());
        }
        piece.extend_from_slice(&size.to_le_bytes());
        piece.extend_from_slice(content);
        piece.extend_from_slice(rest);
    }
}

fn field_into(hasher: &mut blake3::Hasher, field: &[u8]) {
    hasher.update(&(field.len() as u64).to_le_bytes());
    hasher.update(field);
}
