//! The memory of content hashes: a build that finds nothing changed reads no file.
//!
//! An entry is believed if device, inode, size, mode and both times are the same. The change time is the one
//! that counts: programs can set every other. A file that changed within the same tick of the clock in which it
//! was read could change again without a trace, so such files are not remembered at all (git calls them racily
//! clean). For files of layers, which never change but get more links, the time of creation stands in.
//!
//! On disk and in memory the entries are one table of fixed width, sorted by inode: a build reads it with one call
//! and looks entries up where they lie. Making a map of them first would cost as much as looking at every file.

use std::cmp::Ordering as CmpOrdering;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rbuild_image::store::{Store, StoreError};

use super::meta::{FileTime, Inode, Meta};

/// Its name in the store.
const FILE: &str = "files";
/// Changes with every change of the format.
const MAGIC: &[u8; 8] = b"rbhash\0\x02";
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

/// Content hashes of files by their metadata, kept in a file between builds.
#[derive(Debug, Default)]
pub struct HashCache {
    /// Whose file [`FILE`] it is.
    store: Option<Store>,
    /// Read when the first file is asked for: most instructions are no COPY.
    loaded: OnceLock<Table>,
    learned: Mutex<HashMap<Inode, (Stamp, Known)>>,
    /// Day of the build, counted from 1970.
    today: u32,
    /// Some entry that was used bears an old mark "last seen".
    stale: AtomicBool,
}

impl HashCache {
    /// A memory that ends with the build.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The memory of earlier builds. A file that is missing, damaged or of another version is an empty memory: all
    /// that it costs is reading files again.
    #[must_use]
    pub fn load(store: &Store) -> Arc<Self> {
        Arc::new(Self { store: Some(store.clone()), today: days(now()), ..Self::default() })
    }

    fn loaded(&self) -> &Table {
        self.loaded.get_or_init(|| {
            let bytes = self.store.as_ref().and_then(|store| std::fs::read(store.path().join(FILE)).ok());
            bytes.and_then(Table::new).unwrap_or_default()
        })
    }

    /// Writes the memory for later builds, if there is anything new in it.
    ///
    /// # Errors
    /// The file cannot be written; the old one is then still in place.
    pub fn save(&self) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.is_empty() && !self.stale.load(Ordering::Relaxed) {
            return Ok(());
        }
        store.write_small(FILE, &self.encode(&learned))
    }

    /// What is known about a file that looks like this. `immutable` are the files of layers.
    pub(crate) fn get(&self, meta: &Meta, immutable: bool) -> Option<Known> {
        let stamp = Stamp::of(meta, immutable);
        let loaded = self.loaded();
        if let Some((index, entry)) = loaded.find(meta.inode)
            && entry.stamp == stamp
        {
            if entry.seen_day + STALE_DAYS < self.today {
                self.stale.store(true, Ordering::Relaxed);
            }
            loaded.used[index].store(true, Ordering::Relaxed);
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
        let loaded = self.loaded();
        let kept = loaded.iter().filter_map(|(index, inode, mut entry)| {
            if loaded.used[index].load(Ordering::Relaxed) {
                entry.seen_day = self.today;
            }
            let is_kept = !learned.contains_key(&inode) && entry.seen_day + KEPT_DAYS >= self.today;
            is_kept.then_some((inode, entry))
        });
        let new = learned.iter().map(|(inode, (stamp, known))| {
            (*inode, Entry { stamp: *stamp, known: *known, seen_day: self.today })
        });
        let mut entries: Vec<(Inode, Entry)> = kept.chain(new).collect();
        entries.sort_unstable_by_key(|(inode, _)| *inode);
        let mut bytes = Vec::with_capacity(MAGIC.len() + CHECKSUM_SIZE + ENTRY_SIZE * entries.len());
        bytes.extend_from_slice(MAGIC);
        for (inode, entry) in &entries {
            entry.put(*inode, &mut bytes);
        }
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }
}

/// What an entry of the table says, besides the inode.
#[derive(Debug, Clone, Copy)]
struct Entry {
    stamp: Stamp,
    known: Known,
    /// The last day on which a build looked at the file.
    seen_day: u32,
}

/// The entries of earlier builds, sorted by inode, as they stand in the file.
#[derive(Debug, Default)]
struct Table {
    bytes: Vec<u8>,
    /// For each entry, whether this build found the file unchanged.
    used: Vec<AtomicBool>,
}

impl Table {
    /// Takes over the bytes of the file if they are whole.
    fn new(mut bytes: Vec<u8>) -> Option<Self> {
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_SIZE)?)?;
        if blake3::hash(body).as_bytes() != checksum {
            return None;
        }
        let count = body.strip_prefix(MAGIC.as_slice())?.len() / ENTRY_SIZE;
        bytes.truncate(MAGIC.len() + count * ENTRY_SIZE);
        Some(Self { bytes, used: (0..count).map(|_| AtomicBool::new(false)).collect() })
    }

    fn at(&self, index: usize) -> Fields<'_> {
        let start = MAGIC.len() + index * ENTRY_SIZE;
        Fields(&self.bytes[start..start + ENTRY_SIZE])
    }

    fn find(&self, inode: Inode) -> Option<(usize, Entry)> {
        let (mut low, mut high) = (0, self.used.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let mut fields = self.at(middle);
            match fields.inode()?.cmp(&inode) {
                CmpOrdering::Less => low = middle + 1,
                CmpOrdering::Greater => high = middle,
                CmpOrdering::Equal => return Some((middle, fields.entry()?)),
            }
        }
        None
    }

    fn iter(&self) -> impl Iterator<Item = (usize, Inode, Entry)> {
        (0..self.used.len()).filter_map(|index| {
            let mut fields = self.at(index);
            Some((index, fields.inode()?, fields.entry()?))
        })
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

impl Entry {
    fn put(&self, inode: Inode, bytes: &mut Vec<u8>) {
        let Self { stamp, known, seen_day } = self;
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
        bytes.extend_from_slice(&seen_day.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
    }
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

    fn inode(&mut self) -> Option<Inode> {
        Some(Inode { device: self.u64()?, number: self.u64()? })
    }

    /// What follows the inode.
    fn entry(&mut self) -> Option<Entry> {
        let (size, mode) = (self.u64()?, self.u32()?);
        let (mtime, change) = (self.time()?, self.time()?);
        let known = Known { content: self.take()?, has_xattrs: self.take::<1>()? == [1] };
        Some(Entry { stamp: Stamp { size, mode, mtime, change }, known, seen_day: self.u32()? })
    }

    fn time(&mut self) -> Option<FileTime> {
        Some(FileTime { secs: self.take().map(i64::from_le_bytes)?, nanos: self.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rbuild_image::layer::Flavour;

    use super::*;
    use crate::context::meta::Kind;

    fn store(dir: &tempfile::TempDir) -> (Store, PathBuf) {
        let store = Store::open(dir.path(), Flavour::User).unwrap();
        let path = store.path().join(FILE);
        (store, path)
    }

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
        let (store, path) = store(&dir);
        let first = HashCache::load(&store);
        first.learn(&meta(1, 100), false, now(), known(1));
        first.learn(&meta(2, 100), false, now(), known(2));
        first.save().unwrap();
        let second = HashCache::load(&store);
        assert_eq!(second.get(&meta(1, 100), false), Some(known(1)));
        assert_eq!(second.get(&meta(2, 100), false), Some(known(2)));
        assert_eq!(second.get(&meta(1, 101), false), None, "changed since");
        assert_eq!(second.get(&meta(3, 100), false), None);
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        second.save().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before, "nothing new");
        assert_eq!(std::fs::read_dir(store.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn finds_each_of_many() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = store(&dir);
        for turn in 0..3 {
            let cache = HashCache::load(&store);
            // Every third in each turn, so that what is new lies between what was there.
            (0..50).map(|step| step * 3 + turn).for_each(|n| {
                cache.learn(&meta(n * 7, 100), false, now(), known(u8::try_from(n).unwrap()));
            });
            cache.save().unwrap();
        }
        let cache = HashCache::load(&store);
        for n in 0..150 {
            assert_eq!(cache.get(&meta(n * 7, 100), false), Some(known(u8::try_from(n).unwrap())), "{n}");
            assert_eq!(cache.get(&meta(n * 7 + 1, 100), false), None, "{n}");
        }
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
        let (store, path) = store(&dir);
        let cache = HashCache::load(&store);
        cache.learn(&meta(1, 100), false, now(), known(1));
        cache.save().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[60] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(HashCache::load(&store).get(&meta(1, 100), false), None);
        std::fs::write(&path, &bytes[..10]).unwrap();
        assert_eq!(HashCache::load(&store).get(&meta(1, 100), false), None);
    }
}
