//! ADD of archives: detection by content, and their entries as entries of the new layer (spec 3.5).
//!
//! An archive is always a plain tar in a file when its entries are read (a compressed one is inflated into a
//! file without a name first), so that the content of an entry is a range of a file and can be copied on all
//! cores like every other file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rbuild_image::layer::{Flavour, Owners, View};
use rustix::fs::{Mode, OFlags, openat};

use super::error::CopyError;
use super::owner::Owner;
use super::tree::{Attributes, Content, Dir, Made, NodeId, Present, Tree, XattrSource};
use crate::context::path::{base_name, clean, join, parent, show};
use crate::context::{Context, FileTime, Item, Kind, read};

const BLOCK: usize = 512;
const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// A file that is an archive.
#[derive(Debug)]
pub(crate) struct Archive {
    file: Arc<File>,
    compression: Compression,
    /// Absolute, for messages.
    path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

/// Whether a file of the source is an archive. Only its first block is read.
pub(crate) fn detect(source: &Context, at: &[u8], item: &Item) -> Result<Option<Archive>, CopyError> {
    if item.meta.kind != Kind::File || item.meta.size == 0 {
        return Ok(None);
    }
    let file = Arc::new(source.open(at, item.layer)?);
    detect_in(&file, at)
}

/// Whether an open file is an archive; `path` is for messages.
pub(crate) fn detect_in(file: &Arc<File>, path: &[u8]) -> Result<Option<Archive>, CopyError> {
    let path = show(path);
    let failed = |cause| CopyError::Archive { path: path.clone(), cause };
    let mut magic = [0; 6];
    let mut start = &**file;
    start.seek(SeekFrom::Start(0)).map_err(failed)?;
    let length = fill(&mut start, &mut magic).map_err(failed)?;
    start.seek(SeekFrom::Start(0)).map_err(failed)?;
    let compression = Compression::of(&magic[..length]);
    let mut block = [0; BLOCK];
    // What cannot be inflated is no archive, and is copied as the file that it is.
    let is_tar = compression
        .reader(start)
        .and_then(|mut reader| fill(&mut reader, &mut block))
        .is_ok_and(|length| length == BLOCK && is_header(&block));
    start.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(is_tar.then(|| Archive { file: file.clone(), compression, path }))
}

/// Unpacks a tar, compressed or not, into an empty directory: a build context on standard input.
///
/// # Errors
/// It is no tar, ends early, or cannot be written.
pub fn unpack_stream(mut tar: impl Read, into: BorrowedFd<'_>) -> Result<(), CopyError> {
    let path = "-".to_owned();
    let failed = |cause| CopyError::Archive { path: path.clone(), cause };
    let mut spool = nameless(into).map_err(failed)?;
    io::copy(&mut tar, &mut spool).map_err(failed)?;
    let Some(archive) = detect_in(&Arc::new(spool), b"-")? else {
        let cause = io::Error::new(io::ErrorKind::InvalidData, "not a tar archive");
        return Err(failed(cause));
    };
    let nothing = View::new(Vec::new(), Flavour::Trusted);
    let mut tree = Tree::new(&nothing, into)?;
    // Who owns the files of a context makes no difference, and a rootless user may not be able to say it.
    unpack(archive, &mut tree, super::tree::ROOT, Some(Owner::ROOT))?;
    super::write::write(tree, None, into, Owners::Nowhere, super::reuse::Links::Never).map(drop)
}

/// Makes the entries of an archive entries of the layer, below `top`.
pub(crate) fn unpack(
    archive: Archive,
    tree: &mut Tree<'_>,
    top: NodeId,
    owner: Option<Owner>,
) -> Result<(), CopyError> {
    let failed = |cause| CopyError::Archive { path: archive.path.clone(), cause };
    let plain = archive.plain(tree.spool()).map_err(failed)?;
    let mut unpacker = Unpacker { base: tree.path(top), tree, owner, times: Vec::new() };
    let mut reader = tar::Archive::new(&*plain);
    for entry in reader.entries_with_seek().map_err(failed)? {
        unpacker.entry(entry.map_err(failed)?, &plain, &archive.path)?;
    }
    unpacker.finish();
    Ok(())
}

struct Unpacker<'t, 'a> {
    tree: &'t mut Tree<'a>,
    /// Path of the directory that the entries cannot leave.
    base: Vec<u8>,
    owner: Option<Owner>,
    /// Of directories; set when nothing is put into them any more.
    times: Vec<(NodeId, FileTime)>,
}

impl Unpacker<'_, '_> {
    fn entry(
        &mut self,
        mut entry: tar::Entry<'_, &File>,
        plain: &Arc<File>,
        archive: &str,
    ) -> Result<(), CopyError> {
        let failed = |cause| CopyError::Archive { path: archive.to_owned(), cause };
        let path = clean(&entry.path_bytes());
        let kind = entry.header().entry_type();
        if path.is_empty() || kind.is_pax_global_extensions() {
            return Ok(());
        }
        let with = self.attributes(&mut entry).map_err(failed)?;
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let (dir, name) = self.place(&path)?;
        use tar::EntryType;
        let made = match kind {
            EntryType::Directory => return self.directory(dir, &name, with),
            EntryType::Link => {
                return self.hard_link(dir, &name, &link.unwrap_or_default(), with, archive);
            }
            EntryType::Symlink => Made::Symlink { target: link.unwrap_or_default(), with },
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let (kind, device) = match kind {
                    EntryType::Char => (Kind::Char, device(entry.header()).map_err(failed)?),
                    EntryType::Block => (Kind::Block, device(entry.header()).map_err(failed)?),
                    // Writers leave the numbers of what is no device empty.
                    _ => (Kind::Fifo, (0, 0)),
                };
                Made::Special { kind, device, with }
            }
            EntryType::GNUSparse => {
                let mut spool = nameless(self.tree.spool()).map_err(failed)?;
                let size = io::copy(&mut entry, &mut spool).map_err(failed)?;
                Made::File { content: Content::Range { file: Arc::new(spool), offset: 0, size }, with }
            }
            _ => {
                let (offset, size) = (entry.raw_file_position(), entry.size());
                Made::File { content: Content::Range { file: plain.clone(), offset, size }, with }
            }
        };
        self.tree.put(dir, &name, made);
        Ok(())
    }

    /// The directory that an entry goes into, made if the archive has no entry for it.
    fn place(&mut self, path: &[u8]) -> Result<(NodeId, Vec<u8>), CopyError> {
        let dir = self.tree.resolve(&self.base, parent(path), true)?;
        let implied = Attributes { owner: Owner::ROOT, mode: 0o755, mtime: None, xattrs: XattrSource::NONE };
        Ok((self.tree.make_dirs(&dir, &implied)?, base_name(path).to_vec()))
    }

    fn directory(&mut self, dir: NodeId, name: &[u8], with: Attributes) -> Result<(), CopyError> {
        let time = with.mtime;
        let id = match self.tree.enter(dir, name)? {
            Some(id) => {
                if let Some(dir) = self.tree.dir_mut(id) {
                    dir.with = with;
                }
                id
            }
            None => {
                let hides = self.tree.covers_dir(dir, name)?;
                self.tree.put(dir, name, Made::Dir(Dir { hides, ..Dir::new(with) }))
            }
        };
        self.times.extend(time.map(|time| (id, time)));
        Ok(())
    }

    fn hard_link(
        &mut self,
        dir: NodeId,
        name: &[u8],
        link: &[u8],
        with: Attributes,
        archive: &str,
    ) -> Result<(), CopyError> {
        let link = clean(link);
        let way = self.tree.resolve(&self.base, parent(&link), true)?;
        let target = join(&way, base_name(&link));
        let missing = || CopyError::Archive {
            path: archive.to_owned(),
            cause: io::Error::new(
                io::ErrorKind::NotFound,
                format!("hard link to {}, which is not there", show(&link)),
            ),
        };
        let id = match self.tree.find(&target)? {
            Present::Nothing => return Err(missing()),
            Present::Made(id) => id,
            Present::Below(found) if found.meta.kind == Kind::File => {
                // A link changes the file in the destination, so it becomes part of this layer.
                let (at, file) = self.place_of(&target)?;
                let content = Content::Dest(found, target.clone());
                self.tree.put(at, &file, Made::File { content, with: with.clone() })
            }
            Present::Below(_) => return Err(missing()),
        };
        let id = match self.tree.nodes[id].made {
            Made::Link(file) => file,
            _ => id,
        };
        let made = match &mut self.tree.nodes[id].made {
            Made::File { with: shared, .. } => {
                let xattrs = std::mem::replace(&mut shared.xattrs, XattrSource::NONE);
                *shared = Attributes { xattrs, ..with };
                Made::Link(id)
            }
            Made::Symlink { target, .. } => Made::Symlink { target: target.clone(), with },
            Made::Special { kind, device, .. } => Made::Special { kind: *kind, device: *device, with },
            _ => return Err(missing()),
        };
        if self.tree.path(id) != join(&self.tree.path(dir), name) {
            self.tree.put(dir, name, made);
        }
        Ok(())
    }

    fn place_of(&mut self, path: &[u8]) -> Result<(NodeId, Vec<u8>), CopyError> {
        let there = Attributes { owner: Owner::ROOT, mode: 0o755, mtime: None, xattrs: XattrSource::NONE };
        Ok((self.tree.make_dirs(parent(path), &there)?, base_name(path).to_vec()))
    }

    fn attributes(&self, entry: &mut tar::Entry<'_, &File>) -> io::Result<Attributes> {
        let header = entry.header();
        let fields = header.as_old();
        let id = |id: u64| {
            u32::try_from(id).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "owner too large"))
        };
        let owner = match self.owner {
            Some(owner) => owner,
            None => Owner {
                uid: id(unless_blank(&fields.uid, || header.uid())?)?,
                gid: id(unless_blank(&fields.gid, || header.gid())?)?,
            },
        };
        let mode = unless_blank(&fields.mode, || header.mode())? & 0o7777;
        let secs = unless_blank(&fields.mtime, || header.mtime())?;
        let mut mtime = FileTime { secs: i64::try_from(secs).unwrap_or(i64::MAX), nanos: 0 };
        let mut xattrs = Vec::new();
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            // Names that are not text are none that are known here.
            let Ok(key) = extension.key() else { continue };
            if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                xattrs.push((name.as_bytes().to_vec(), extension.value_bytes().to_vec()));
            } else if key == "mtime"
                && let Some(time) = extension.value().ok().and_then(pax_time)
            {
                mtime = time;
            }
        }
        Ok(Attributes { owner, mode, mtime: Some(mtime), xattrs: XattrSource::These(xattrs) })
    }

    fn finish(self) {
        for (dir, time) in self.times {
            if let Some(dir) = self.tree.dir_mut(dir) {
                dir.with.mtime = Some(time);
            }
        }
    }
}

impl Archive {
    /// The archive without compression.
    fn plain(&self, spool: BorrowedFd<'_>) -> io::Result<Arc<File>> {
        let mut start = &*self.file;
        start.seek(SeekFrom::Start(0))?;
        if self.compression == Compression::None {
            return Ok(self.file.clone());
        }
        let mut plain = nameless(spool)?;
        read::copy(self.compression.reader(start)?, &mut plain)?;
        plain.seek(SeekFrom::Start(0))?;
        Ok(Arc::new(plain))
    }
}

impl Compression {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    fn reader<'a>(self, file: &'a File) -> io::Result<Box<dyn Read + 'a>> {
        let buffered = io::BufReader::with_capacity(128 * 1024, file);
        Ok(match self {
            Self::None => Box::new(buffered),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new(buffered, true)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(buffered)?),
        })
    }
}

/// A number of a header. Some writers leave out those that they do not know, which then are 0.
fn unless_blank<T: Default>(field: &[u8], read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(T::default()) } else { read() }
}

/// Major and minor number.
fn device(header: &tar::Header) -> io::Result<(u32, u32)> {
    Ok((header.device_major()?.unwrap_or_default(), header.device_minor()?.unwrap_or_default()))
}

/// A file without a name on the file system of a directory.
fn nameless(dir: BorrowedFd<'_>) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(openat(dir, ".", flags, Mode::from_raw_mode(0o600))?.into())
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Whether a block is a tar header: its checksum (the sum of its bytes, its own field as spaces) is right.
fn is_header(block: &[u8; BLOCK]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let unsigned: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| u32::from(if CHECKSUM.contains(&at) { b' ' } else { *byte }))
        .sum();
    let is_empty = block.iter().all(|byte| *byte == 0);
    let field = String::from_utf8_lossy(&block[CHECKSUM]).into_owned();
    let field = field.trim_matches(|c: char| c == ' ' || c == '\0');
    !is_empty && u32::from_str_radix(field, 8).is_ok_and(|written| written == unsigned)
}

/// `SECONDS[.FRACTION]` of a PAX header.
fn pax_time(text: &str) -> Option<FileTime> {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let (secs, nanos) = (secs.parse::<i64>().ok()?, digits.parse::<u32>().ok()?);
    if text.starts_with('-') && nanos > 0 {
        // The fraction counts towards the past, nanoseconds count from the second before.
        return Some(FileTime { secs: secs - 1, nanos: 1_000_000_000 - nanos });
    }
    Some(FileTime { secs, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_pax_headers() {
        for (text, secs, nanos) in [
            ("5", 5, 0),
            ("5.25", 5, 250_000_000),
            ("-1.5", -2, 500_000_000),
            ("1.1234567891", 1, 123_456_789),
        ] {
            assert_eq!(pax_time(text), Some(FileTime { secs, nanos }), "{text}");
        }
        assert_eq!(pax_time("x"), None);
    }

    #[test]
    fn zeros_are_no_archive() {
        assert!(!is_header(&[0; BLOCK]));
        let mut header = tar::Header::new_ustar();
        header.set_path("a").unwrap();
        header.set_size(0);
        header.set_cksum();
        assert!(is_header(header.as_bytes()));
    }
}
