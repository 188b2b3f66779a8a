//! A layer's name inside the store: BLAKE3 over its canonical entries.
//!
//! Format, version 2. The hash runs over [`TAG`] and then, for each entry in canonical order, over
//!
//! ```text
//! u32 length, path · u8 kind · u32 mode · u32 uid · u32 gid · time · kind's own · capability
//! time        u8 0 when left out, else u8 1 · i64 seconds
//! kind's own  file 'f': u64 size · 32 bytes BLAKE3 of the content    directory 'd': u8 opaque
//!             symlink 'l', hard link 'h': u32 length, target         device 'c', 'b': u32 major · u32 minor
//!             fifo 'p', whiteout 'w': nothing
//! capability  u8 0, or u8 1 · u32 length, value
//! ```
//!
//! All numbers little-endian. Every field is fixed in size or carries its length, so no two layers write the same
//! bytes. The layer's root directory is not part of it: its tar does not have it either. Nor are the fractions of
//! seconds, which a tar does not have: so a layer that travelled as a tar can be proved to be the one it is said to be.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, EntryKind};
use crate::digest::LayerId;
use crate::time::Timestamp;

/// Says what is hashed, and in which version of the format.
const TAG: &[u8] = b"rbuild layer 2\n";

/// Which modification times belong to a layer's identity (design section 4).
///
/// Times that a step made itself are no input of anything that is meant to be cached: a step that ran again and made
/// the same tree shall lead to the same layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnTimes {
    /// All times count.
    KeepAll,
    /// No time counts.
    IgnoreAll,
    /// Times of the second in which the step began do not count, and none after it.
    IgnoreSince(Timestamp),
}

impl OwnTimes {
    fn counts(self, time: Timestamp) -> bool {
        match self {
            Self::KeepAll => true,
            Self::IgnoreAll => false,
            Self::IgnoreSince(start) => time.secs < start.secs,
        }
    }
}

/// An identity in the making.
pub(super) struct Identity {
    hasher: blake3::Hasher,
    record: Vec<u8>,
    times: OwnTimes,
}

impl Identity {
    pub(super) fn new(times: OwnTimes) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(TAG);
        Self { hasher, record: Vec::with_capacity(256), times }
    }

    /// Takes in the next entry. `content` is the BLAKE3 of a regular file's content.
    pub(super) fn push(&mut self, entry: &Entry, content: Option<&blake3::Hash>) {
        let record = &mut self.record;
        record.clear();
        text(record, &entry.path);
        record.push(kind(&entry.kind));
        for number in [entry.mode, entry.uid, entry.gid] {
            record.extend(number.to_le_bytes());
        }
        if self.times.counts(entry.mtime) {
            record.push(1);
            record.extend(entry.mtime.secs.to_le_bytes());
        } else {
            record.push(0);
        }
        match &entry.kind {
            EntryKind::File { size } => {
                record.extend(size.to_le_bytes());
                record.extend(content.map_or([0; 32], |hash| *hash.as_bytes()));
            }
            EntryKind::Dir { opaque } => record.push(u8::from(*opaque)),
            EntryKind::Symlink(target) | EntryKind::Hardlink(target) => text(record, target),
            EntryKind::Char { major, minor } | EntryKind::Block { major, minor } => {
                record.extend(major.to_le_bytes());
                record.extend(minor.to_le_bytes());
            }
            EntryKind::Fifo | EntryKind::Whiteout => {}
        }
        match &entry.capability {
            Some(value) => {
                record.push(1);
                text(record, value);
            }
            None => record.push(0),
        }
        self.hasher.update(record);
    }

    pub(super) fn finish(self) -> LayerId {
        LayerId(*self.hasher.finalize().as_bytes())
    }
}

fn kind(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { .. } => b'f',
        EntryKind::Dir { .. } => b'd',
        EntryKind::Symlink(_) => b'l',
        EntryKind::Hardlink(_) => b'h',
        EntryKind::Char { .. } => b'c',
        EntryKind::Block { .. } => b'b',
        EntryKind::Fifo => b'p',
        EntryKind::Whiteout => b'w',
    }
}

fn text(record: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    record.extend(length.to_le_bytes());
    record.extend(text);
}
