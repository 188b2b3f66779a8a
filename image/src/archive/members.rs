//! The members of an archive by name, however the archive comes: a folder, a tar that can be read at any place, or
//! a stream that passes once and is spooled.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::EntryType;

use super::error::ArchiveError;
use crate::layer::{self, Compression};

/// Manifests and configs are small; anything larger is an attack on memory.
pub(super) const MAX_DOCUMENT: u64 = 16 << 20;
const MAX_MEMBERS: usize = 1_000_000;
const MAX_LINKS: usize = 16;

/// Where an archive comes from.
#[derive(Debug)]
pub enum Source<'a, R> {
    /// A tar (plain, gzip or zstd) or the folder of an OCI layout.
    Path(&'a Path),
    /// A tar (plain, gzip or zstd) that is read once from front to back.
    Stream(R),
}

/// All members, found once.
#[derive(Debug)]
pub(super) struct Members {
    slots: Slots,
}

#[derive(Debug)]
enum Slots {
    Folder(PathBuf),
    Index(HashMap<String, Slot>),
}

#[derive(Debug, Clone)]
enum Slot {
    /// A part of the archive's own file.
    Part { file: Arc<File>, offset: u64, size: u64 },
    /// A file of the spool.
    Spooled { path: PathBuf, size: u64 },
    /// Another member, by its name.
    Link(String),
}

/// The bytes of one member.
#[derive(Debug)]
pub(super) struct Member {
    file: Arc<File>,
    offset: u64,
    /// Size in bytes.
    pub(super) size: u64,
    /// Where the bytes lie as a file of their own that may be moved away.
    pub(super) spooled: Option<PathBuf>,
}

impl Members {
    /// Finds the members. What cannot be read at any place goes to files in the folder `spool`.
    pub(super) fn open<R: Read + Send>(source: Source<'_, R>, spool: &Path) -> Result<Self, ArchiveError> {
        let slots = match source {
            Source::Stream(reader) => spool_stream(reader, spool)?,
            Source::Path(path) => {
                let open = |source| ArchiveError::Open { path: path.to_owned(), source };
                let file = File::open(path).map_err(open)?;
                let metadata = file.metadata().map_err(open)?;
                if metadata.is_dir() {
                    return Ok(Self { slots: Slots::Folder(path.to_owned()) });
                }
                match compression(&file).map_err(open)? {
                    Compression::None if metadata.is_file() => index_file(file)?,
                    _ => spool_stream(file, spool)?,
                }
            }
        };
        Ok(Self { slots: Slots::Index(slots) })
    }

    /// Whether there is a member `name`.
    pub(super) fn contains(&self, name: &str) -> bool {
        match &self.slots {
            Slots::Folder(root) => root.join(name).is_file(),
            Slots::Index(slots) => slots.contains_key(name),
        }
    }

    /// The member `name`, links followed. `name` is as some document of the archive gives it: not trusted.
    pub(super) fn get(&self, name: &str) -> Result<Member, ArchiveError> {
        let clean = clean_name(name.as_bytes())?;
        match &self.slots {
            Slots::Folder(root) => folder_member(root, &clean),
            Slots::Index(slots) => index_member(slots, &clean),
        }
    }

    /// The whole of a document.
    pub(super) fn document(&self, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let member = self.get(name)?;
        if member.size > MAX_DOCUMENT {
            return Err(ArchiveError::TooLarge {
                member: name.to_owned(),
                size: member.size,
                limit: MAX_DOCUMENT,
            });
        }
        let mut bytes = Vec::new();
        member.reader().read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
        if bytes.len() as u64 != member.size {
            return Err(member.truncated(name, bytes.len() as u64));
        }
        Ok(bytes)
    }
}

impl Member {
    /// Reads the member from its beginning, without moving anyone else's position.
    pub(super) fn reader(&self) -> MemberReader {
        MemberReader { file: self.file.clone(), at: self.offset, end: self.offset + self.size }
    }

    /// The error for a member of which only `got` bytes are there.
    pub(super) fn truncated(&self, name: &str, got: u64) -> ArchiveError {
        ArchiveError::Truncated { member: name.to_owned(), got, expected: self.size }
    }
}

/// Reads a part of a file that others read at the same time.
#[derive(Debug)]
pub(super) struct MemberReader {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn folder_member(root: &Path, name: &str) -> Result<Member, ArchiveError> {
    let path = root.join(name);
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ArchiveError::Missing(name.to_owned()),
        _ => ArchiveError::Open { path: path.clone(), source: error },
    };
    let file = File::open(&path).map_err(missing)?;
    let metadata = file.metadata().map_err(missing)?;
    if !metadata.is_file() {
        return Err(ArchiveError::BadLink(name.to_owned()));
    }
    Ok(Member { file: file.into(), offset: 0, size: metadata.len(), spooled: None })
}

fn index_member(slots: &HashMap<String, Slot>, name: &str) -> Result<Member, ArchiveError> {
    let mut at = name;
    for _ in 0..=MAX_LINKS {
        match slots.get(at) {
            None if at == name => return Err(ArchiveError::Missing(name.to_owned())),
            None => return Err(ArchiveError::BadLink(name.to_owned())),
            Some(Slot::Link(target)) => at = target,
            Some(Slot::Part { file, offset, size }) => {
                return Ok(Member { file: file.clone(), offset: *offset, size: *size, spooled: None });
            }
            Some(Slot::Spooled { path, size }) => {
                let file = File::open(path).map_err(|source| ArchiveError::Temp {
                    action: "open",
                    path: path.clone(),
                    source,
                })?;
                return Ok(Member { file: file.into(), offset: 0, size: *size, spooled: Some(path.clone()) });
            }
        }
    }
    Err(ArchiveError::BadLink(name.to_owned()))
}

fn index_file(file: File) -> Result<HashMap<String, Slot>, ArchiveError> {
    let shared = Arc::new(file.try_clone().map_err(ArchiveError::Read)?);
    let end = file.metadata().map_err(ArchiveError::Read)?.len();
    let mut archive = tar::Archive::new(BufReader::with_capacity(8 << 10, file));
    let mut slots = HashMap::new();
    for entry in archive.entries_with_seek().map_err(ArchiveError::Read)? {
        let entry = entry.map_err(|error| broken_header(&slots, error))?;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        let Some((name, link)) = describe(&entry)? else { continue };
        if link.is_none() && offset.checked_add(size).is_none_or(|last| last > end) {
            return Err(ArchiveError::Truncated {
                member: name,
                got: end.saturating_sub(offset),
                expected: size,
            });
        }
        let slot = link.map_or_else(|| Slot::Part { file: shared.clone(), offset, size }, Slot::Link);
        insert(&mut slots, name, slot)?;
    }
    Ok(slots)
}

/// Where not even the first header is one, this is no archive; whatever is there instead is nothing to show people.
fn broken_header(before: &HashMap<String, Slot>, error: io::Error) -> ArchiveError {
    if before.is_empty() && error.kind() == io::ErrorKind::Other {
        return ArchiveError::Unrecognised;
    }
    ArchiveError::Read(error)
}

/// What `file` begins with; its position stays. A pipe that was opened by name is looked at when it is read.
fn compression(file: &File) -> io::Result<Compression> {
    let mut start = [0; Compression::MAGIC_LENGTH];
    match file.read_at(&mut start, 0) {
        Ok(count) => Ok(Compression::of(&start[..count])),
        Err(error) if error.kind() == io::ErrorKind::NotSeekable => Ok(Compression::None),
        Err(error) => Err(error),
    }
}

fn spool_stream(reader: impl Read + Send, spool: &Path) -> Result<HashMap<String, Slot>, ArchiveError> {
    let mut archive = tar::Archive::new(layer::decoder(reader).map_err(ArchiveError::Read)?.1);
    let mut slots = HashMap::new();
    for entry in archive.entries().map_err(ArchiveError::Read)? {
        let mut entry = entry.map_err(|error| broken_header(&slots, error))?;
        let Some((name, link)) = describe(&entry)? else { continue };
        let slot = match link {
            Some(target) => Slot::Link(target),
            None => {
                let path = spool.join(format!("member-{}", slots.len()));
                let size = entry.size();
                spool_member(&mut entry, &name, &path)?;
                Slot::Spooled { path, size }
            }
        };
        insert(&mut slots, name, slot)?;
    }
    drain(archive.into_inner())?;
    Ok(slots)
}

fn spool_member<R: Read>(entry: &mut tar::Entry<'_, R>, name: &str, path: &Path) -> Result<(), ArchiveError> {
    let temp = |action| move |source| ArchiveError::Temp { action, path: path.to_owned(), source };
    let mut file = File::create_new(path).map_err(temp("create"))?;
    let expected = entry.size();
    let mut buffer = vec![0; usize::try_from(expected).unwrap_or(usize::MAX).clamp(512, 1 << 20)];
    let mut got = 0;
    loop {
        let count = entry.read(&mut buffer).map_err(ArchiveError::Read)?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).map_err(temp("write"))?;
        got += count as u64;
    }
    if got == expected {
        Ok(())
    } else {
        Err(ArchiveError::Truncated { member: name.to_owned(), got, expected })
    }
}

/// What comes after the end of the tar is read too: only then is a checksum of the compression verified, and does
/// the writer of a pipe not die of a closed one.
fn drain(mut rest: impl Read) -> Result<(), ArchiveError> {
    io::copy(&mut rest, &mut io::sink()).map_err(ArchiveError::Read)?;
    Ok(())
}

/// Name and, for links, target; `None` for what has no content (folders).
fn describe<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Option<(String, Option<String>)>, ArchiveError> {
    let kind = entry.header().entry_type();
    let raw = entry.path_bytes();
    let name = clean_name(&raw)?;
    let target = entry.link_name_bytes().unwrap_or_default();
    match kind {
        EntryType::Regular | EntryType::Continuous => Ok(Some((name, None))),
        EntryType::Link => Ok(Some((name, Some(clean_name(&target)?)))),
        EntryType::Symlink => {
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let target = resolve(folder, &target).ok_or_else(|| ArchiveError::UnsafeName(shown(&target)))?;
            Ok(Some((name, Some(target))))
        }
        EntryType::Directory | EntryType::XGlobalHeader => Ok(None),
        _ => Err(ArchiveError::BadLink(name)),
    }
}

fn insert(slots: &mut HashMap<String, Slot>, name: String, slot: Slot) -> Result<(), ArchiveError> {
    if slots.len() >= MAX_MEMBERS {
        return Err(ArchiveError::TooManyMembers(MAX_MEMBERS));
    }
    match slots.insert(name.clone(), slot) {
        None => Ok(()),
        Some(_) => Err(ArchiveError::Duplicate(name)),
    }
}

/// A member's name without `./` and doubled slashes. Absolute names and `..` are refused, not repaired.
fn clean_name(raw: &[u8]) -> Result<String, ArchiveError> {
    let unsafe_name = || ArchiveError::UnsafeName(shown(raw));
    let text = std::str::from_utf8(raw).map_err(|_| unsafe_name())?;
    if text.starts_with('/') || text.contains('\0') || text.split('/').any(|part| part == "..") {
        return Err(unsafe_name());
    }
    Ok(text.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/"))
}

/// Where a symlink in `folder` leads, as far as names go; `None` if out of the archive.
fn resolve(folder: &str, target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok()?;
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}
