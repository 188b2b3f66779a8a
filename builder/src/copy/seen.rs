//! What is remembered of the entries of a layer, as bytes.

use rbuild_image::layer::{Entry, EntryKind};

use super::reuse::Wanted;
use crate::context::{ContentHash, FileTime};

/// An entry of an earlier layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Relative to the layer's root.
    pub path: &'a [u8],
    /// File, directory, link.
    pub what: What<'a>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// User and group id.
    pub owner: (u32, u32),
    /// Modification time.
    pub mtime: FileTime,
}

/// What an entry is. Layers with anything else in them are not remembered as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// A file, and the BLAKE3 of its content, zeros where there is none.
    File {
        /// BLAKE3 of the content.
        content: ContentHash,
        /// Bytes of it.
        size: u64,
    },
    /// A directory that hides nothing.
    Dir,
    /// A link and its target.
    Symlink(&'a [u8]),
}

impl<'a> Seen<'a> {
    /// As a planned entry will be, if it is one of those that are remembered. `content` is known of every file that
    /// has any.
    pub(super) fn of(entry: &'a Entry, content: Option<ContentHash>) -> Option<Self> {
        let what = match &entry.kind {
            EntryKind::File { size: 0 } => What::File { content: [0; 32], size: 0 },
            EntryKind::File { size } => What::File { content: content?, size: *size },
            EntryKind::Dir { opaque: false } => What::Dir,
            EntryKind::Symlink(target) => What::Symlink(target),
            _ => return None,
        };
        let mtime = FileTime { secs: entry.mtime.secs, nanos: entry.mtime.nanos };
        Some(Self { path: &entry.path, what, mode: entry.mode, owner: (entry.uid, entry.gid), mtime })
    }

    /// A file that was made.
    pub(super) fn file(wanted: &Wanted, path: &'a [u8]) -> Self {
        let Wanted { content, size, mode, owner, mtime } = *wanted;
        Self { path, what: What::File { content, size }, mode, owner, mtime }
    }

    /// As what a file can be linked to that is to be equal.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let What::File { content, size } = self.what else { return None };
        Some(Wanted { content, size, mode: self.mode, owner: self.owner, mtime: self.mtime })
    }

    /// Appends it.
    pub(super) fn put_into(&self, bytes: &mut Vec<u8>) {
        let (kind, content, size, target) = match self.what {
            What::File { content, size } => (b'f', content, size, &b""[..]),
            What::Dir => (b'd', [0; 32], 0, &b""[..]),
            What::Symlink(target) => (b'l', [0; 32], 0, target),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&content);
        bytes.extend_from_slice(&size.to_le_bytes());
        for number in [self.mode, self.owner.0, self.owner.1, self.mtime.nanos] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.mtime.secs.to_le_bytes());
        for text in [self.path, target] {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text);
        }
    }

    /// Takes one from the front.
    pub(super) fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let [kind] = take(rest)?;
        let content = take(rest)?;
        let size = take(rest).map(u64::from_le_bytes)?;
        let mut number = || take(rest).map(u32::from_le_bytes);
        let (mode, uid, gid, nanos) = (number()?, number()?, number()?, number()?);
        let secs = take(rest).map(i64::from_le_bytes)?;
        let (path, target) = (text(rest)?, text(rest)?);
        let what = match kind {
            b'f' => What::File { content, size },
            b'd' => What::Dir,
            b'l' => What::Symlink(target),
            _ => return None,
        };
        Some(Self { path, what, mode, owner: (uid, gid), mtime: FileTime { secs, nanos } })
    }
}

/// Entries in the bytes that they were put into.
#[derive(Debug, Clone)]
pub struct SeenEntries<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for SeenEntries<'a> {
    type Item = Seen<'a>;

    fn next(&mut self) -> Option<Seen<'a>> {
        Seen::take(&mut self.0)
    }
}

/// Takes a field of fixed length from the front.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*field)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(rest).map(u64::from_le_bytes)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(text)
}
