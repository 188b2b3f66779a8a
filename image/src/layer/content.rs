//! Reading the content of a layer's files in pieces, so that several threads can work on one layer.
//!
//! A *piece* is a run of consecutive entries with about a megabyte of content, or a megabyte of one large file. The
//! BLAKE3 of a large file is put together from its pieces' subtrees: it is the plain BLAKE3 of the content, however
//! many threads read it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use rustix::buffer::spare_capacity;
use rustix::io::{self, Errno};

use super::entry::{Entry, EntryKind};
use super::error::LayerError;
use super::folders::Folders;
use super::{tar, walk};

/// Content of one piece in bytes. A power of two, as BLAKE3's subtrees have to be.
pub(super) const PIECE: u64 = 1 << 20;

/// Room for the bytes of a piece, so that its buffer never grows: what a piece counts for an entry is more than
/// its header and padding, and only long paths have more of a header.
pub(super) const BUFFER: usize = (1 << 20) + 16 * 1024;

/// Contents that need not be read since they are known: the BLAKE3 of regular files without capabilities, by path.
pub type KnownContents = HashMap<Vec<u8>, [u8; 32]>;

thread_local! {
    /// For content that is only hashed.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(BUFFER));
}

/// A part of a layer that one thread reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Whole entries.
    Entries(Range<usize>),
    /// From this offset on, of a file larger than a piece.
    Slice { entry: usize, offset: u64 },
}

/// Cuts a layer into pieces; their order is that of the tar.
pub(super) fn pieces(entries: &[Entry]) -> Vec<Piece> {
    cut(entries, size)
}

/// The same where some contents are known: to whoever reads for hashes only, those files are empty.
pub(super) fn unknown_pieces(entries: &[Entry], known: &KnownContents) -> Vec<Piece> {
    cut(entries, |entry| if known.contains_key(&entry.path) { 0 } else { size(entry) })
}

fn cut(entries: &[Entry], size: impl Fn(&Entry) -> u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut start, mut gathered) = (0, 0);
    for (index, entry) in entries.iter().enumerate() {
        let size = size(entry);
        let large = size > PIECE;
        if large || gathered + size > PIECE {
            if start < index {
                pieces.push(Piece::Entries(start..index));
            }
            (start, gathered) = (index, 0);
        }
        if large {
            let offsets = (0..size).step_by(usize::try_from(PIECE).expect("a megabyte fits"));
            pieces.extend(offsets.map(|offset| Piece::Slice { entry: index, offset }));
            start = index + 1;
        } else {
            // An entry without content costs a system call or a header, too.
            gathered += size + 1024;
        }
    }
    if start < entries.len() {
        pieces.push(Piece::Entries(start..entries.len()));
    }
    pieces
}

/// What reading a piece yielded.
#[derive(Default)]
pub(super) struct Read {
    /// The bytes of the tar, if wanted.
    pub(super) tar: Vec<u8>,
    /// For each entry of the piece, or for the slice: what is to know about its content.
    pub(super) contents: Vec<Content>,
}

/// About the content of one entry.
#[derive(Default)]
pub(super) struct Content {
    pub(super) capability: Option<Vec<u8>>,
    pub(super) hash: Option<blake3::Hash>,
    pub(super) subtree: Option<ChainingValue>,
}

/// How the pieces of a layer are read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) folders: Folders<'a>,
    pub(super) entries: &'a [Entry],
    /// Whether the entries say which capabilities files have.
    pub(super) capabilities: Capabilities,
    /// Contents are hashed but for those that are known. None: they are not.
    pub(super) hashes: Option<&'a KnownContents>,
}

/// What a list of entries says of regular files' capabilities.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Capabilities {
    /// Nothing: each file is asked when it is read.
    Unknown,
    Listed,
}

impl Reading<'_> {
    /// Reads a piece: its part of the tar into `buffer`, which is empty, and the hashes of its contents if wanted.
    pub(super) fn piece(&self, piece: &Piece, mut buffer: Vec<u8>) -> Result<Read, LayerError> {
        let mut contents = Vec::new();
        match piece {
            Piece::Entries(range) => {
                contents.reserve(range.len());
                for entry in &self.entries[range.clone()] {
                    contents.push(self.entry(entry, &mut buffer)?);
                }
            }
            Piece::Slice { entry, offset } => {
                contents.push(self.slice(&self.entries[*entry], *offset, &mut buffer)?);
            }
        }
        Ok(Read { tar: buffer, contents })
    }

    fn entry(&self, entry: &Entry, tar: &mut Vec<u8>) -> Result<Content, LayerError> {
        let EntryKind::File { size } = entry.kind else {
            tar::push_entry(tar, entry);
            return Ok(Content::default());
        };
        let (file, capability) = self.open(entry)?;
        push_file_header(tar, entry, capability.as_deref());
        let start = tar.len();
        fill(tar, file.as_fd(), 0, size, &entry.path)?;
        let hash = self.hashes.map(|known| match known.get(&entry.path) {
            Some(hash) => (*hash).into(),
            None => blake3::hash(&tar[start..]),
        });
        tar.resize(tar.len() + tar::padding(size), 0);
        Ok(Content { capability, hash, subtree: None })
    }

    fn slice(&self, entry: &Entry, offset: u64, tar: &mut Vec<u8>) -> Result<Content, LayerError> {
        let (file, capability) = self.open(entry)?;
        let mut content = Content::default();
        if offset == 0 {
            push_file_header(tar, entry, capability.as_deref());
            content.capability = capability;
        }
        let start = tar.len();
        let size = size(entry);
        fill(tar, file.as_fd(), offset, PIECE.min(size - offset), &entry.path)?;
        content.subtree = self.hashes.map(|_| subtree_of(&tar[start..], offset));
        if offset + PIECE >= size {
            tar.resize(tar.len() + tar::padding(size), 0);
        }
        Ok(content)
    }

    fn open(&self, entry: &Entry) -> Result<(OwnedFd, Option<Vec<u8>>), LayerError> {
        match self.capabilities {
            Capabilities::Unknown => open(self.folders, entry),
            Capabilities::Listed => Ok((self.folders.open_file(&entry.path)?, entry.capability.clone())),
        }
    }
}

/// Finds out the hashes of a piece's contents, without their tar.
pub(super) fn hash(
    folders: Folders<'_>,
    entries: &[Entry],
    piece: &Piece,
    known: &KnownContents,
) -> Result<Vec<Content>, LayerError> {
    SCRATCH.with_borrow_mut(|scratch| match piece {
        Piece::Entries(range) => {
            entries[range.clone()].iter().map(|entry| hash_entry(folders, entry, known, scratch)).collect()
        }
        Piece::Slice { entry, offset } => {
            let entry = &entries[*entry];
            let (file, capability) = open(folders, entry)?;
            scratch.clear();
            fill(scratch, file.as_fd(), *offset, PIECE.min(size(entry) - offset), &entry.path)?;
            let subtree = Some(subtree_of(scratch, *offset));
            Ok(vec![Content { capability: capability.filter(|_| *offset == 0), hash: None, subtree }])
        }
    })
}

fn hash_entry(
    folders: Folders<'_>,
    entry: &Entry,
    known: &KnownContents,
    scratch: &mut Vec<u8>,
) -> Result<Content, LayerError> {
    let EntryKind::File { size } = entry.kind else { return Ok(Content::default()) };
    if let Some(hash) = known.get(&entry.path) {
        return Ok(Content { hash: Some((*hash).into()), ..Content::default() });
    }
    let (file, capability) = open(folders, entry)?;
    scratch.clear();
    fill(scratch, file.as_fd(), 0, size, &entry.path)?;
    Ok(Content { capability, hash: Some(blake3::hash(scratch)), subtree: None })
}

fn open(folders: Folders<'_>, entry: &Entry) -> Result<(OwnedFd, Option<Vec<u8>>), LayerError> {
    let file = folders.open_file(&entry.path)?;
    let capability = walk::capability(file.as_fd(), &entry.path)?;
    Ok((file, capability))
}

fn subtree_of(slice: &[u8], offset: u64) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(slice);
    hasher.finalize_non_root()
}

/// The BLAKE3 of a file from the subtrees of its slices, of which there are at least two.
pub(super) fn join(subtrees: &[ChainingValue]) -> blake3::Hash {
    let (left, right) = subtrees.split_at(left_half(subtrees.len()));
    merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash)
}

fn subtree(slices: &[ChainingValue]) -> ChainingValue {
    match slices {
        [one] => *one,
        several => {
            let (left, right) = several.split_at(left_half(several.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// The largest power of two below `count`.
fn left_half(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn push_file_header(tar: &mut Vec<u8>, entry: &Entry, capability: Option<&[u8]>) {
    if capability.is_none() {
        tar::push_entry(tar, entry);
    } else {
        tar::push_entry(tar, &Entry { capability: capability.map(<[u8]>::to_vec), ..entry.clone() });
    }
}

/// Appends exactly `length` bytes of a file.
fn fill(
    buffer: &mut Vec<u8>,
    file: BorrowedFd<'_>,
    offset: u64,
    length: u64,
    path: &[u8],
) -> Result<(), LayerError> {
    let length = usize::try_from(length).expect("a piece fits into memory");
    let end = buffer.len() + length;
    buffer.reserve(length);
    let mut at = offset;
    while buffer.len() < end {
        // The buffer may have room for more than is wanted; what is too much is cut off.
        match io::pread(file, spare_capacity(buffer), at) {
            Ok(0) => return Err(LayerError::Changed { path: path.to_vec() }),
            Ok(count) => at += count as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(LayerError::io("read", path)(error)),
        }
    }
    buffer.truncate(end);
    Ok(())
}

fn size(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File { size } => size,
        _ => 0,
    }
}

/// The content's hash of one file, as a pass over a layer computes it.
#[cfg(test)]
pub(super) fn tests_hash(root: BorrowedFd<'_>, path: &[u8]) -> blake3::Hash {
    let entries = walk::walk(root.into(), super::Flavour::User).expect("the directory can be read");
    let only: Vec<Entry> = entries.into_iter().filter(|entry| entry.path == path).collect();
    let slices = pieces(&only)
        .iter()
        .flat_map(|piece| hash(root.into(), &only, piece, &KnownContents::new()).expect("it can be read"))
        .filter_map(|content| content.subtree)
        .collect::<Vec<_>>();
    join(&slices)
}
