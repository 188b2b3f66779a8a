//! The memory of what an instruction copied last, so that its next layer links to all that did not change.
//!
//! For every instruction there is one file in the store's folder `latest`: the layer, and of each file in it
//! what a file has to be like to be equal. It is a hint and never an authority: what it names may be gone, and
//! is looked at again before it is linked to; without it, files are copied.
//!
//! The entries stay as they stand in the file. What is looked up in is a sorted list of where they begin, by the
//! first bytes of the content's digest, which are as good as random.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rbuild_image::digest::LayerId;

use super::reuse::{Reuse, Twin, Wanted};
use crate::context::{ContentHash, FileTime};

/// Changes with every change of the format.
const MAGIC: &[u8; 8] = b"rblast\0\x01";
const CHECKSUM_SIZE: usize = 32;
/// Copying less than this many bytes costs no more than remembering.
const WORTH_BYTES: u64 = 256 * 1024;
/// Instructions that made nothing new for so long are forgotten.
const KEPT: Duration = Duration::from_secs(60 * 24 * 3600);

/// What one instruction copied last, and what it copies now.
#[derive(Debug)]
pub(crate) struct Latest {
    file: PathBuf,
    earlier: Option<Earlier>,
    /// The layer's files, if it is still there.
    root: Option<OwnedFd>,
    made: Mutex<Vec<(Wanted, Vec<u8>)>>,
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
        Self { file, earlier, root: None, made: Mutex::default() }
    }

    /// The layer that the instruction made last.
    pub(crate) fn layer(&self) -> Option<LayerId> {
        self.earlier.as_ref().map(|earlier| earlier.layer)
    }

    /// Opens that layer's files. Without this, nothing is found.
    pub(crate) fn below(self, root: Option<OwnedFd>) -> Self {
        Self { root, ..self }
    }

    /// Remembers that `layer` holds what was made since.
    pub(crate) fn save(self, layer: LayerId) {
        let made = self.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        let bytes: u64 = made.iter().map(|(wanted, _)| wanted.size).sum();
        if bytes < WORTH_BYTES {
            return;
        }
        // A hint that cannot be kept costs the next build some time and this one nothing.
        let _ = replace(&self.file, &encode(layer, &made));
    }
}

impl Reuse for Latest {
    fn find(&self, wanted: &Wanted, path: &[u8]) -> Option<Twin<'_>> {
        let root = self.root.as_ref()?.as_fd();
        let candidates = self.earlier.as_ref()?.of_content(&wanted.content).filter(|(it, _)| it == wanted);
        let path = candidates.map(|(_, there)| there).max_by_key(|there| *there == path)?;
        Some(Twin { root, path })
    }

    fn made(&self, wanted: &Wanted, path: &[u8]) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.push((wanted.clone(), path.to_vec()));
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

fn encode(layer: LayerId, made: &[(Wanted, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128 * made.len() + 128);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&layer.0);
    for (wanted, path) in made {
        let Wanted { content, size, mode, owner, mtime } = wanted;
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(&size.to_le_bytes());
        for number in [*mode, owner.0, owner.1, mtime.nanos] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&mtime.secs.to_le_bytes());
        bytes.extend_from_slice(&(path.len() as u64).to_le_bytes());
        bytes.extend_from_slice(path);
    }
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

/// What was remembered of the last layer.
#[derive(Debug)]
struct Earlier {
    layer: LayerId,
    bytes: Vec<u8>,
    /// The first bytes of a content's digest, and where the entry begins; sorted.
    index: Vec<([u8; 8], usize)>,
}

impl Earlier {
    fn read(bytes: Vec<u8>) -> Option<Self> {
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_SIZE)?)?;
        if blake3::hash(body).as_bytes() != checksum {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC.as_slice())?;
        let layer = LayerId(take(&mut rest)?);
        let mut index = Vec::new();
        while !rest.is_empty() {
            let start = body.len() - rest.len();
            let (wanted, _) = entry(&mut rest)?;
            index.push((prefix(&wanted.content), start));
        }
        index.sort_unstable();
        Some(Self { layer, bytes, index })
    }

    /// The entries whose content begins, and therefore most likely is, the same.
    fn of_content(&self, content: &ContentHash) -> impl Iterator<Item = (Wanted, &[u8])> {
        let wanted = prefix(content);
        let first = self.index.partition_point(|(prefix, _)| *prefix < wanted);
        let equal = self.index[first..].iter().take_while(move |(prefix, _)| *prefix == wanted);
        equal.filter_map(|(_, start)| entry(&mut &self.bytes[*start..]))
    }
}

fn prefix(content: &ContentHash) -> [u8; 8] {
    *content.first_chunk().expect("a digest is longer")
}

/// Takes an entry: what the file is like, and its path.
fn entry<'a>(rest: &mut &'a [u8]) -> Option<(Wanted, &'a [u8])> {
    let content = take(rest)?;
    let size = take(rest).map(u64::from_le_bytes)?;
    let mut number = || take(rest).map(u32::from_le_bytes);
    let (mode, uid, gid, nanos) = (number()?, number()?, number()?, number()?);
    let secs = take(rest).map(i64::from_le_bytes)?;
    let length = usize::try_from(take(rest).map(u64::from_le_bytes)?).ok()?;
    let (path, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some((Wanted { content, size, mode, owner: (uid, gid), mtime: FileTime { secs, nanos } }, path))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*field)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        first.save(LayerId([9; 32]));
        let next = Latest::of(folder.path(), &parts);
        assert_eq!(next.layer(), Some(LayerId([9; 32])));
        assert!(next.find(&wanted(WORTH_BYTES), b"").is_none(), "the layer's place is not known yet");
        let next = next.below(Some(fs::File::open(folder.path()).unwrap().into()));
        let found = |path: &[u8]| next.find(&wanted(WORTH_BYTES), path).map(|twin| twin.path.to_vec());
        assert_eq!(found(b"src/\xff name"), Some(b"src/\xff name".to_vec()));
        assert_eq!(found(b"src/twin"), Some(b"src/twin".to_vec()), "of equal files the one of the same name");
        assert!(found(b"src/new").is_some());
        assert!(next.find(&wanted(1), b"src/twin").is_none());
        assert_eq!(Latest::of(folder.path(), &["stage-0", "COPY src", "/src/src"]).layer(), None);
    }

    #[test]
    fn little_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let latest = Latest::of(folder.path(), &["COPY a /"]);
        latest.made(&wanted(WORTH_BYTES - 1), b"a");
        latest.save(LayerId([9; 32]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn damage_is_no_memory() {
        let whole = encode(LayerId([1; 32]), &[(wanted(1), b"a".to_vec())]);
        assert!(Earlier::read(whole.clone()).is_some());
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(Earlier::read(damaged).is_none(), "byte {at}");
            assert!(Earlier::read(whole[..at].to_vec()).is_none(), "cut at {at}");
        }
    }
}
