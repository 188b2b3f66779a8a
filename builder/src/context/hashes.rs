//! The memory of content hashes: a build that finds nothing changed reads no file.
//!
//! An entry is believed if device, inode, size, mode and both times are the same. The change time is the one
//! that counts: programs can set every other. A file that changed within the same tick of the clock in which it
//! was read could change again without a trace, so such files are not remembered at all (git calls them racily
//! clean). For files of layers, which never change but get more links, the time of creation stands in.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::meta::{FileTime, Inode, Meta};

/// Changes with every change of the format.
const MAGIC: &[u8; 8] = b"rbhash\0\x01";
const ENTRY_SIZE: usize = 93;
const CHECKSUM_SIZE: usize = 32;
/// Files that no build looked at for so many days are forgotten.
const KEPT_DAYS: u32 = 60;
/// How old a mark "last seen" may get before it is worth a new file.
const STALE_DAYS: u32 = 10;
/// Longer than a tick of any kernel's clock.
const TICK_NANOS: i128 = 20_000_000;
/// For file systems that keep whole seconds (or two, as FAT).
const COARSE_NANOS: i128 = 2_000_000_000;

/// BLAKE3 of a file's content.
pub type ContentHash = [u8; 32];

/// What is remembered about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// BLAKE3 of the content; zeros if it is no regular file.
    pub(crate) content: ContentHash,
    /// Whether it has extended attributes that have to be read.
    pub(crate) has_xattrs: bool,
}

/// By what a file is recognised, besides its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    mode: u32,
    mtime: FileTime,
    change: FileTime,
}

impl Stamp {
    fn of(meta: &Meta, immutable: bool) -> Self {
        let change = if immutable { meta.btime.unwrap_or(meta.ctime) } else { meta.ctime };
        Self { size: meta.size, mode: meta.mode, mtime: meta.mtime, change }
    }
}

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    known: Known,
    seen_day: AtomicU32,
}

/// Content hashes of files by their metadata, kept in a file between builds.
#[derive(Debug, Default)]
pub struct HashCache {
    path: Option<PathBuf>,
    loaded: HashMap<Inode, Entry>,
    learned: Mutex<HashMap<Inode, (Stamp, Known)>>,
    stale: AtomicBool,
}

impl HashCache {
    /// A memory that ends with the build.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Reads the memory of earlier builds. A file that is missing, damaged or of another version is an empty
    /// memory: all that it costs is reading files again.
    #[must_use]
    pub fn load(path: &Path) -> Arc<Self> {
        let loaded = std::fs::read(path).ok().and_then(|bytes| decode(&bytes)).unwrap_or_default();
        Arc::new(Self { path: Some(path.to_owned()), loaded, ..Self::default() })
    }

    /// Writes the memory for later builds, if there is anything new in it.
    ///
    /// # Errors
    /// The file cannot be written; the old one is then still in place.
    pub fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.is_empty() && !self.stale.load(Ordering::Relaxed) {
            return Ok(());
        }
        let bytes = self.encode(&learned);
        let temporary = path.with_extension(format!("tmp{}", std::process::id()));
        let written = std::fs::File::create(&temporary)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| std::fs::rename(&temporary, path));
        if written.is_err() {
            // The error that matters is the first one.
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    /// What is known about a file that looks like this. `immutable` are the files of layers.
    pub(crate) fn get(&self, meta: &Meta, immutable: bool) -> Option<Known> {
        let stamp = Stamp::of(meta, immutable);
        if let Some(entry) = self.loaded.get(&meta.inode)
            && entry.stamp == stamp
        {
            let today = days(now());
            if entry.seen_day.load(Ordering::Relaxed) + STALE_DAYS < today {
                self.stale.store(true, Ordering::Relaxed);
            }
            entry.seen_day.store(today, Ordering::Relaxed);
            return Some(entry.known);
        }
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.get(&meta.inode).filter(|(known, _)| *known == stamp).map(|(_, known)| *known)
    }

    /// Remembers what reading a file gave. `meta` is from before it was read, `read_at` too.
    pub(crate) fn learn(&self, meta: &Meta, immutable: bool, read_at: FileTime, known: Known) {
        let stamp = Stamp::of(meta, immutable);
        if is_racy(stamp.change, read_at) {
            return;
        }
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.insert(meta.inode, (stamp, known));
    }

    fn encode(&self, learned: &HashMap<Inode, (Stamp, Known)>) -> Vec<u8> {
        let today = days(now());
        let mut bytes = Vec::with_capacity(
            MAGIC.len() + CHECKSUM_SIZE + ENTRY_SIZE * (self.loaded.len() + learned.len()),
        );
        bytes.extend_from_slice(MAGIC);
        for (inode, entry) in &self.loaded {
            let seen = entry.seen_day.load(Ordering::Relaxed);
            if !learned.contains_key(inode) && seen + KEPT_DAYS >= today {
                put(&mut bytes, *inode, &entry.stamp, &entry.known, seen);
            }
        }
        for (inode, (stamp, known)) in learned {
            put(&mut bytes, *inode, stamp, known, today);
        }
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }
}

/// The current time of the clock that file systems use.
pub(crate) fn now() -> FileTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    FileTime { secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}

fn days(time: FileTime) -> u32 {
    u32::try_from(time.secs / 86_400).unwrap_or(0)
}

fn is_racy(change: FileTime, read_at: FileTime) -> bool {
    let nanos = |t: FileTime| i128::from(t.secs) * 1_000_000_000 + i128::from(t.nanos);
    let margin = if change.nanos == 0 { COARSE_NANOS } else { TICK_NANOS };
    nanos(read_at) - nanos(change) < margin
}

fn put(bytes: &mut Vec<u8>, inode: Inode, stamp: &Stamp, known: &Known, seen: u32) {
    bytes.extend_from_slice(&inode.device.to_le_bytes());
    bytes.extend_from_slice(&inode.number.to_le_bytes());
    bytes.extend_from_slice(&stamp.size.to_le_bytes());
    bytes.extend_from_slice(&stamp.mode.to_le_bytes());
    for time in [stamp.mtime, stamp.change] {
        bytes.extend_from_slice(&time.secs.to_le_bytes());
        bytes.extend_from_slice(&time.nanos.to_le_bytes());
    }
    bytes.extend_from_slice(&known.content);
    bytes.push(u8::from(known.has_xattrs));
    bytes.extend_from_slice(&seen.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
}

fn decode(bytes: &[u8]) -> Option<HashMap<Inode, Entry>> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_SIZE)?)?;
    if blake3::hash(body).as_bytes() != checksum {
        return None;
    }
    let entries = body.strip_prefix(MAGIC.as_slice())?;
    let mut loaded = HashMap::with_capacity(entries.len() / ENTRY_SIZE);
    for entry in entries.chunks_exact(ENTRY_SIZE) {
        let mut fields = Fields(entry);
        let inode = Inode { device: fields.u64()?, number: fields.u64()? };
        let (size, mode) = (fields.u64()?, fields.u32()?);
        let (mtime, change) = (fields.time()?, fields.time()?);
        let known = Known { content: fields.take()?, has_xattrs: fields.take::<1>()? == [1] };
        let seen_day = AtomicU32::new(fields.u32()?);
        loaded.insert(inode, Entry { stamp: Stamp { size, mode, mtime, change }, known, seen_day });
    }
    Some(loaded)
}

/// Little-endian fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<FileTime> {
        Some(FileTime { secs: self.take().map(i64::from_le_bytes)?, nanos: self.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::meta::Kind;

    fn meta(number: u64, changed: i64) -> Meta {
        Meta {
            kind: Kind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 3,
            mtime: FileTime { secs: 1, nanos: 2 },
            ctime: FileTime { secs: changed, nanos: 5 },
            btime: None,
            inode: Inode { device: 7, number },
            links: 1,
            device: (0, 0),
        }
    }

    fn known(byte: u8) -> Known {
        Known { content: [byte; 32], has_xattrs: byte == 2 }
    }

    #[test]
    fn remembers_between_builds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hashes");
        let first = HashCache::load(&path);
        first.learn(&meta(1, 100), false, now(), known(1));
        first.learn(&meta(2, 100), false, now(), known(2));
        first.save().unwrap();
        let second = HashCache::load(&path);
        assert_eq!(second.get(&meta(1, 100), false), Some(known(1)));
        assert_eq!(second.get(&meta(2, 100), false), Some(known(2)));
        assert_eq!(second.get(&meta(1, 101), false), None, "changed since");
        assert_eq!(second.get(&meta(3, 100), false), None);
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        second.save().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before, "nothing new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn does_not_believe_files_of_the_same_tick() {
        let cache = HashCache::in_memory();
        let read_at = FileTime { secs: 100, nanos: 10_000_000 };
        cache.learn(&meta(1, 100), false, read_at, known(1));
        assert_eq!(cache.get(&meta(1, 100), false), None);
        cache.learn(&meta(1, 99), false, read_at, known(1));
        assert_eq!(cache.get(&meta(1, 99), false), Some(known(1)));
    }

    #[test]
    fn damage_empties_the_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hashes");
        let cache = HashCache::load(&path);
        cache.learn(&meta(1, 100), false, now(), known(1));
        cache.save().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[60] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(HashCache::load(&path).get(&meta(1, 100), false), None);
        std::fs::write(&path, &bytes[..10]).unwrap();
        assert_eq!(HashCache::load(&path).get(&meta(1, 100), false), None);
    }
}
