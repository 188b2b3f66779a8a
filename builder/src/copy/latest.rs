//! The memory of what an instruction copied last, so that its next layer links to all that did not change, or is
//! nothing but what did.
//!
//! For every instruction there is one file in the store's folder `latest`: the layer, and of each file in it
//! what a file has to be like to be equal; where all of the layer can be said so, all of its entries. It is a hint and
//! never an authority: what it names may be gone, and is looked at again before it is linked to; without it, files
//! are copied.
//!
//! The entries stay as they stand in the file. What is looked up in is a sorted list of where they begin, by the
//! first bytes of the content's digest, which are as good as random.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rbuild_image::digest::LayerId;

use super::listing::Planned;
use super::reuse::{Base, Reuse, Twin, Wanted};
use super::seen::{Seen, SeenEntries, take};
use crate::context::ContentHash;

/// Changes with every change of the format.
const MAGIC: &[u8; 8] = b"rblast\0\x02";
const CHECKSUM_SIZE: usize = 32;
/// Copying less than this many bytes costs no more than remembering. In a program for tests everything is remembered.
const WORTH_BYTES: u64 = if cfg!(debug_assertions) { 1 } else { 256 * 1024 };
/// Instructions that made nothing new for so long are forgotten.
const KEPT: Duration = Duration::from_secs(60 * 24 * 3600);

/// What one instruction copied last, and what it copies now.
#[derive(Debug)]
pub(crate) struct Latest {
    file: PathBuf,
    earlier: Option<Earlier>,
    /// The layer's files, if it is still there.
    root: Option<OwnedFd>,
    /// A layer can be over it.
    is_base: bool,
    made: Mutex<Vec<(Wanted, Vec<u8>)>>,
    /// All entries of the layer that is made now, as bytes, if all of them can be remembered.
    all: OnceLock<Vec<u8>>,
}

/// Where the layer is that an instruction made last.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its files.
    pub(crate) root: OwnedFd,
    /// A layer can be over it.
    pub(crate) is_base: bool,
}

impl Latest {
    /// The memory in `folder` of the instruction that `parts` describe. What is missing or damaged is empty.
    pub(crate) fn of(folder: &Path, parts: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let file = folder.join(hasher.finalize().to_hex().as_str());
        let earlier = fs::read(&file).ok().and_then(Earlier::read);
        Self { file, earlier, root: None, is_base: false, made: Mutex::default(), all: OnceLock::new() }
    }

    /// The layer that the instruction made last.
    pub(crate) fn layer(&self) -> Option<LayerId> {
        self.earlier.as_ref().map(|earlier| earlier.layer)
    }

    /// Takes that layer's files. Without this, nothing is found.
    pub(crate) fn below(self, place: Option<Place>) -> Self {
        let is_base = place.as_ref().is_some_and(|place| place.is_base);
        Self { root: place.map(|place| place.root), is_base, ..self }
    }

    /// Remembers that `layer` holds what was made since; and nothing else, if `all` says so.
    pub(crate) fn save(self, layer: LayerId, all: bool) {
        let made = self.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        let bytes: u64 = made.iter().map(|(wanted, _)| wanted.size).sum();
        if bytes < WORTH_BYTES {
            return;
        }
        let whole = self.all.into_inner().filter(|_| all);
        // A hint that cannot be kept costs the next build some time and this one nothing.
        let _ = replace(&self.file, &encode(layer, whole.as_deref(), &made));
    }
}

impl Reuse for Latest {
    fn find(&self, wanted: &Wanted, path: &[u8]) -> Option<Twin<'_>> {
        let root = self.root.as_ref()?.as_fd();
        let candidates = self.earlier.as_ref()?.of_content(&wanted.content);
        let equal = candidates.filter(|it| it.wanted().as_ref() == Some(wanted));
        let path = equal.map(|it| it.path).max_by_key(|there| *there == path)?;
        Some(Twin { root, path })
    }

    fn made(&self, wanted: &Wanted, path: &[u8]) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.push((wanted.clone(), path.to_vec()));
    }

    fn base(&self) -> Option<Base<'_>> {
        let earlier = self.earlier.as_ref().filter(|earlier| earlier.is_whole && self.is_base)?;
        Some(Base { layer: earlier.layer, entries: SeenEntries(earlier.entries()) })
    }

    fn all(&self, planned: &[Planned]) {
        let mut bytes = Vec::with_capacity(160 * planned.len());
        for Planned { entry, content, .. } in planned {
            let Some(seen) = Seen::of(entry, *content) else { return };
            seen.put_into(&mut bytes);
        }
        // It is said once.
        let _ = self.all.set(bytes);
    }
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    forget_old(folder)?;
    let temporary = file.with_extension(format!("tmp{}", std::process::id()));
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn forget_old(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let age = entry.metadata().and_then(|meta| meta.modified()).map(|time| time.elapsed());
        if let Ok(Ok(age)) = age
            && age > KEPT
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// `whole` are all entries of the layer, else `made` are its files.
fn encode(layer: LayerId, whole: Option<&[u8]>, made: &[(Wanted, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160 * made.len() + 128);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&layer.0);
    bytes.push(u8::from(whole.is_some()));
    match whole {
        Some(whole) => bytes.extend_from_slice(whole),
        None => made.iter().for_each(|(wanted, path)| Seen::file(wanted, path).put_into(&mut bytes)),
    }
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

/// What was remembered of the last layer.
#[derive(Debug)]
struct Earlier {
    layer: LayerId,
    /// The entries are all that the layer has.
    is_whole: bool,
    bytes: Vec<u8>,
    /// Where the entries begin.
    start: usize,
    /// The first bytes of a content's digest, and where the entry begins; sorted. Made when it is first needed.
    index: OnceLock<Vec<([u8; 8], usize)>>,
}

impl Earlier {
    fn read(bytes: Vec<u8>) -> Option<Self> {
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_SIZE)?)?;
        if blake3::hash(body).as_bytes() != checksum {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC.as_slice())?;
        let layer = LayerId(take(&mut rest)?);
        let is_whole = take(&mut rest)? == [1];
        let start = body.len() - rest.len();
        Some(Self { layer, is_whole, bytes, start, index: OnceLock::new() })
    }

    fn entries(&self) -> &[u8] {
        &self.bytes[self.start..self.bytes.len() - CHECKSUM_SIZE]
    }

    fn index(&self) -> &[([u8; 8], usize)] {
        self.index.get_or_init(|| {
            let mut rest = self.entries();
            let mut index = Vec::new();
            let mut at = rest.len();
            while let Some(seen) = Seen::take(&mut rest) {
                if let Some(wanted) = seen.wanted().filter(|wanted| wanted.size > 0) {
                    index.push((prefix(&wanted.content), self.entries().len() - at));
                }
                at = rest.len();
            }
            index.sort_unstable();
            index
        })
    }

    /// The files whose content begins, and therefore most likely is, the same.
    fn of_content(&self, content: &ContentHash) -> impl Iterator<Item = Seen<'_>> {
        let wanted = prefix(content);
        let first = self.index().partition_point(|(prefix, _)| *prefix < wanted);
        let equal = self.index()[first..].iter().take_while(move |(prefix, _)| *prefix == wanted);
        equal.filter_map(|(_, start)| Seen::take(&mut &self.entries()[*start..]))
    }
}

fn prefix(content: &ContentHash) -> [u8; 8] {
    *content.first_chunk().expect("a digest is longer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::FileTime;

    fn wanted(size: u64) -> Wanted {
        let mtime = FileTime { secs: -5, nanos: 7 };
        Wanted { content: [3; 32], size, mode: 0o4755, owner: (1, 2), mtime }
    }

    #[test]
    fn what_was_made_is_found_by_the_next_build() {
        let folder = tempfile::tempdir().unwrap();
        let parts = ["stage-0", "COPY src /src", "/src"];
        let first = Latest::of(folder.path(), &parts);
        assert_eq!(first.layer(), None);
        first.made(&wanted(WORTH_BYTES), b"src/\xff name");
        first.made(&wanted(WORTH_BYTES), b"src/twin");
        first.save(LayerId([9; 32]), false);
        let next = Latest::of(folder.path(), &parts);
        assert_eq!(next.layer(), Some(LayerId([9; 32])));
        assert!(next.find(&wanted(WORTH_BYTES), b"").is_none(), "the layer's place is not known yet");
        let root = fs::File::open(folder.path()).unwrap().into();
        let next = next.below(Some(Place { root, is_base: true }));
        assert!(next.base().is_none(), "not all of the layer is remembered");
        let found = |path: &[u8]| next.find(&wanted(WORTH_BYTES), path).map(|twin| twin.path.to_vec());
        assert_eq!(found(b"src/\xff name"), Some(b"src/\xff name".to_vec()));
        assert_eq!(found(b"src/twin"), Some(b"src/twin".to_vec()), "of equal files the one of the same name");
        assert!(found(b"src/new").is_some());
        assert!(next.find(&wanted(WORTH_BYTES + 1), b"src/twin").is_none());
        assert_eq!(Latest::of(folder.path(), &["stage-0", "COPY src", "/src/src"]).layer(), None);
    }

    #[test]
    fn little_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let latest = Latest::of(folder.path(), &["COPY a /"]);
        latest.made(&wanted(WORTH_BYTES - 1), b"a");
        latest.save(LayerId([9; 32]), false);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn damage_is_no_memory() {
        let whole = encode(LayerId([1; 32]), None, &[(wanted(1), b"a".to_vec())]);
        assert!(Earlier::read(whole.clone()).is_some());
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(Earlier::read(damaged).is_none(), "byte {at}");
            assert!(Earlier::read(whole[..at].to_vec()).is_none(), "cut at {at}");
        }
    }
}
