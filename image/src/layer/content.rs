//! Reading the content of a layer's files in pieces, so that several threads can work on one layer.
//!
//! A *piece* is a run of consecutive entries with about a megabyte of content, or a megabyte of one large file. The
//! BLAKE3 of a large file is put together from its pieces' subtrees: it is the plain BLAKE3 of the content, however
//! many threads read it.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use rustix::io::{self, Errno};

use super::entry::{Entry, EntryKind};
use super::error::LayerError;
use super::{fs as at, tar, walk};

/// Content of one piece in bytes. A power of two, as BLAKE3's subtrees have to be.
pub(super) const PIECE: u64 = 1 << 20;

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

/// What reading a piece is to yield.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The bytes of the tar.
    pub(super) tar: bool,
    /// The hashes of the contents.
    pub(super) hashes: bool,
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

/// Reads a piece.
pub(super) fn read(
    root: BorrowedFd<'_>,
    entries: &[Entry],
    piece: &Piece,
    wanted: Wanted,
) -> Result<Read, LayerError> {
    let mut out = Read::default();
    let mut scratch = Vec::new();
    match piece {
        Piece::Entries(range) => {
            out.contents.reserve(range.len());
            for entry in &entries[range.clone()] {
                let content = read_entry(root, entry, wanted, &mut out.tar, &mut scratch)?;
                out.contents.push(content);
            }
        }
        Piece::Slice { entry, offset } => {
            let content = read_slice(root, &entries[*entry], *offset, wanted, &mut out.tar, &mut scratch)?;
            out.contents.push(content);
        }
    }
    Ok(out)
}

fn read_entry(
    root: BorrowedFd<'_>,
    entry: &Entry,
    wanted: Wanted,
    tar: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<Content, LayerError> {
    let EntryKind::File { size } = entry.kind else {
        if wanted.tar {
            tar::push_entry(tar, entry);
        }
        return Ok(Content::default());
    };
    let file = at::open_below(root, &entry.path, at::FILE).map_err(LayerError::io("open", &entry.path))?;
    let capability = walk::capability(file.as_fd(), &entry.path)?;
    let buffer = if wanted.tar {
        push_file_header(tar, entry, capability.as_deref());
        tar
    } else {
        scratch.clear();
        scratch
    };
    let start = buffer.len();
    fill(buffer, file.as_fd(), 0, size, &entry.path)?;
    let hash = wanted.hashes.then(|| blake3::hash(&buffer[start..]));
    if wanted.tar {
        buffer.resize(buffer.len() + tar::padding(size), 0);
    }
    Ok(Content { capability, hash, subtree: None })
}

fn read_slice(
    root: BorrowedFd<'_>,
    entry: &Entry,
    offset: u64,
    wanted: Wanted,
    tar: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<Content, LayerError> {
    let file = at::open_below(root, &entry.path, at::FILE).map_err(LayerError::io("open", &entry.path))?;
    let mut content = Content::default();
    if offset == 0 {
        content.capability = walk::capability(file.as_fd(), &entry.path)?;
    }
    if wanted.tar && offset == 0 {
        push_file_header(tar, entry, content.capability.as_deref());
    }
    let buffer = if wanted.tar { tar } else { scratch };
    let start = buffer.len();
    let size = size(entry);
    fill(buffer, file.as_fd(), offset, PIECE.min(size - offset), &entry.path)?;
    if wanted.hashes {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset);
        hasher.update(&buffer[start..]);
        content.subtree = Some(hasher.finalize_non_root());
    }
    if wanted.tar && offset + PIECE >= size {
        buffer.resize(buffer.len() + tar::padding(size), 0);
    }
    Ok(content)
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
    let start = buffer.len();
    let length = usize::try_from(length).expect("a piece fits into memory");
    buffer.resize(start + length, 0);
    let mut done = 0;
    while done < length {
        match io::pread(file, &mut buffer[start + done..], offset + done as u64) {
            Ok(0) => return Err(LayerError::Changed { path: path.to_vec() }),
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(LayerError::io("read", path)(error)),
        }
    }
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
    let entries = walk::walk(root, super::Flavour::User).expect("the directory can be read");
    let only: Vec<Entry> = entries.into_iter().filter(|entry| entry.path == path).collect();
    let wanted = Wanted { tar: false, hashes: true };
    let slices = pieces(&only)
        .iter()
        .map(|piece| read(root, &only, piece, wanted).expect("it can be read"))
        .flat_map(|read| read.contents)
        .filter_map(|content| content.subtree)
        .collect::<Vec<_>>();
    join(&slices)
}
