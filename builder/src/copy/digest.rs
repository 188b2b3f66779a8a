//! What a selection contributes to a cache key: everything that ends up in the layer, except times (spec 7.3).

use std::sync::PoisonError;

use rayon::prelude::*;

use super::error::CopyError;
use super::select::{Pick, Selection};
use crate::context::path::join;
use crate::context::xattr::{self, Xattrs};
use crate::context::{ContentHash, Item, Kind, Meta};

/// Changes with every change of what is hashed below.
const FORMAT: &[u8] = b"rbuild copy 2\0";

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
    /// Target of a link, numbers of a device, extended attributes, numbers of hard links: hashed, zeros if none.
    pub rest: [u8; 32],
}

/// Digests a selection. Files are read only if the hash cache does not know them.
///
/// # Errors
/// A file cannot be read or changed meanwhile.
pub fn digest(selection: &Selection) -> Result<CopyDigest, CopyError> {
    let mut records = Vec::new();
    for (index, pick) in selection.picks.iter().enumerate() {
        let source = u32::try_from(index).unwrap_or(u32::MAX);
        match pick {
            Pick::Tree { identity: Some(identity), .. } => {
                records.push(FileRecord { content: *identity, ..FileRecord::top(source) });
            }
            Pick::Tree { at, items, identity: None, .. } => {
                records.push(FileRecord::top(source));
                let first_links = first_links(items);
                let made: Result<Vec<_>, CopyError> = items
                    .par_iter()
                    .zip(first_links)
                    .map(|(item, link)| {
                        let from = join(at, &item.path);
                        let link = link.map(|first| &items[first].path[..]);
                        record(selection, source, &from, item.path.clone(), item, link)
                    })
                    .collect();
                records.extend(made?);
            }
            Pick::File { at, name, item } => {
                records.push(record(selection, source, at, name.clone(), item, None)?);
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
    let mut hasher = blake3::Hasher::new();
    hasher.update(FORMAT);
    for record in &records {
        record.hash_into(&mut hasher);
    }
    Ok(CopyDigest { digest: *hasher.finalize().as_bytes(), records })
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
    from: &[u8],
    path: Vec<u8>,
    item: &Item,
    link: Option<&[u8]>,
) -> Result<FileRecord, CopyError> {
    let meta = &item.meta;
    let owner = selection.rules.owner(meta);
    let (known, remembered) = match meta.kind {
        Kind::File | Kind::Dir => selection.source.known(from, item.layer, meta)?,
        _ => {
            let has_xattrs = !selection.source.xattrs(from, item.layer)?.is_empty();
            (crate::context::Known { content: [0; 32], has_xattrs }, true)
        }
    };
    if !remembered && meta.kind == Kind::File {
        let mut hashed = selection.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.insert(from.to_vec(), known.content);
    }
    let xattrs = if known.has_xattrs { selection.source.xattrs(from, item.layer)? } else { Vec::new() };
    Ok(FileRecord {
        source,
        path,
        kind: meta.kind,
        mode: selection.rules.mode(meta)?,
        uid: owner.uid,
        gid: owner.gid,
        size: meta.size,
        content: known.content,
        rest: rest(item, &xattrs, link),
    })
}

fn rest(item: &Item, xattrs: &Xattrs, link: Option<&[u8]>) -> [u8; 32] {
    let xattrs = xattrs.iter().filter(|(name, _)| xattr::counts(name));
    let mut fields: Vec<(u8, Vec<u8>)> = Vec::new();
    fields.extend(item.link.iter().map(|target| (b'l', target.clone())));
    if matches!(item.meta.kind, Kind::Char | Kind::Block) {
        let (major, minor) = item.meta.device;
        fields.push((b'd', [major.to_le_bytes(), minor.to_le_bytes()].concat()));
    }
    fields.extend(link.map(|first| (b'h', first.to_vec())));
    for (name, value) in xattrs {
        fields.push((b'n', name.clone()));
        fields.push((b'v', value.clone()));
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
    })
}

impl FileRecord {
    /// A copied directory itself: nothing of it gets into the layer but its time.
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
        }
    }

    fn hash_into(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.source.to_le_bytes());
        field_into(hasher, &self.path);
        let kind = match self.kind {
            Kind::File => b'f',
            Kind::Dir => b'd',
            Kind::Symlink => b'l',
            Kind::Char => b'c',
            Kind::Block => b'b',
            Kind::Fifo => b'p',
            Kind::Socket => b's',
        };
        hasher.update(&[kind]);
        for number in [self.mode, self.uid, self.gid] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.size.to_le_bytes());
        hasher.update(&self.content);
        hasher.update(&self.rest);
    }
}

fn field_into(hasher: &mut blake3::Hasher, field: &[u8]) {
    hasher.update(&(field.len() as u64).to_le_bytes());
    hasher.update(field);
}
