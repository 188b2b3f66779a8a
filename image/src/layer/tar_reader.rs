//! Reading tars that others wrote: USTAR, PAX, GNU, with sparse files.
//!
//! Every length in a header comes from a stranger. What is kept in memory is bounded ([`MAX_EXTENSION`]); content is
//! only ever streamed; a number that does not parse, or a header whose checksum is wrong, is an error and never a guess.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::str;

use super::entry::CAPABILITY;
use super::tar::{self, BLOCK, padding};
use super::tar_sparse::{self, Extent, MAX_EXTENTS};
use crate::time::Timestamp;

/// Longest PAX header or GNU long name that is read, in bytes.
const MAX_EXTENSION: u64 = 1 << 20;
/// So many headers of headers in a row are an attack.
const MAX_EXTENSIONS: usize = 16;

/// Why a tar cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream fails; a compressed one that is damaged does.
    #[error("cannot read the archive: {0}")]
    Read(#[source] io::Error),
    /// It ends in the middle.
    #[error("the archive is cut off in {0}")]
    Truncated(&'static str),
    /// A header that does not hold together.
    #[error("the archive is damaged: {0}")]
    Malformed(String),
}

/// What stands in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// As it is written, `..` and slashes included. Not to be trusted.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: TarKind,
    /// Permissions with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Timestamp,
    /// Length of the content as the file will have it, holes included.
    pub size: u64,
    /// Extended attributes by name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Where the content that follows goes, for a sparse file.
    pub(super) sparse: Option<Vec<Extent>>,
}

/// The type of an archive's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarKind {
    /// A regular file.
    File,
    /// Another name of an earlier entry.
    Hardlink(Vec<u8>),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A directory.
    Dir,
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

impl TarEntry {
    /// The file capabilities.
    pub fn capability(&self) -> Option<&[u8]> {
        self.xattrs.get(CAPABILITY).map(Vec::as_slice)
    }
}

/// Yields the entries of a tar and the content of each.
#[derive(Debug)]
pub struct TarReader<R> {
    inner: R,
    /// Of the current entry's content, what was not read yet, and what fills its last block.
    left: u64,
    padding: usize,
    global: BTreeMap<String, Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    /// Reads from `inner`, which is not compressed.
    pub fn new(inner: R) -> Self {
        Self { inner, left: 0, padding: 0, global: BTreeMap::new() }
    }

    /// The next entry, or None at the end of the archive. What was left of the content before is skipped.
    ///
    /// # Errors
    /// When the archive is damaged, or its stream fails.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, TarError> {
        self.skip_content()?;
        let mut pax = BTreeMap::new();
        let (mut long_name, mut long_link) = (None, None);
        for _ in 0..MAX_EXTENSIONS {
            let Some(block) = self.read_header()? else { return Ok(None) };
            match block[tar::TYPE] {
                b'x' | b'X' => pax.extend(parse_records(&self.read_extension(&block)?)?),
                b'g' => {
                    let records = parse_records(&self.read_extension(&block)?)?;
                    self.global.extend(records);
                }
                b'L' => long_name = Some(cut_at_nul(self.read_extension(&block)?)),
                b'K' => long_link = Some(cut_at_nul(self.read_extension(&block)?)),
                _ => {
                    let mut all = self.global.clone();
                    all.append(&mut pax);
                    return self.entry(&block, all, long_name, long_link).map(Some);
                }
            }
        }
        Err(TarError::Malformed("more than 16 extension headers for one entry".to_owned()))
    }

    /// The stream behind the archive, at its end.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Reads what is left: archives are padded, and what hashes the stream has to see all of it.
    ///
    /// # Errors
    /// When the stream fails.
    pub fn drain(&mut self) -> Result<(), TarError> {
        io::copy(&mut self.inner, &mut io::sink()).map(drop).map_err(TarError::Read)
    }

    fn entry(
        &mut self,
        block: &[u8; BLOCK],
        mut pax: BTreeMap<String, Vec<u8>>,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<TarEntry, TarError> {
        let name = pax.remove("path").or(long_name).unwrap_or_else(|| path_field(block));
        let link = pax.remove("linkpath").or(long_link);
        let link = link.unwrap_or_else(|| text_field(&block[tar::LINK]));
        let stored = match pax.remove("size") {
            Some(text) => number(&text)?,
            None => unsigned(block, tar::SIZE, "size")?,
        };
        let id = |pax: Option<Vec<u8>>, range, what| match pax {
            Some(text) => number(&text),
            None => unsigned(block, range, what),
        };
        let uid = id(pax.remove("uid"), tar::UID, "uid")?;
        let gid = id(pax.remove("gid"), tar::GID, "gid")?;
        let mtime = match pax.remove("mtime") {
            Some(text) => time(&text)?,
            None => Timestamp::new(numeric(&block[tar::MTIME], "mtime")?, 0),
        };
        let kind = kind(block, name.ends_with(b"/"), link)?;
        let has_content = matches!(kind, TarKind::File);
        // Only files have content; some writers give links the size of their target all the same.
        self.left = if has_content { stored } else { 0 };
        self.padding = padding(self.left);
        let mut entry = TarEntry {
            path: name,
            kind,
            mode: u32::try_from(unsigned(block, tar::MODE, "mode")? & 0o7777).expect("twelve bits"),
            uid: u32::try_from(uid).map_err(|_| out_of_range("uid"))?,
            gid: u32::try_from(gid).map_err(|_| out_of_range("gid"))?,
            mtime,
            size: self.left,
            xattrs: xattrs(&pax),
            sparse: None,
        };
        if has_content {
            self.expand_sparse(block, &pax, &mut entry)?;
        }
        Ok(entry)
    }

    /// The three ways in which GNU tar writes holes.
    fn expand_sparse(
        &mut self,
        block: &[u8; BLOCK],
        pax: &BTreeMap<String, Vec<u8>>,
        entry: &mut TarEntry,
    ) -> Result<(), TarError> {
        if block[tar::TYPE] == b'S' {
            let (mut extents, size, mut extended) = tar_sparse::old_gnu(block)?;
            while extended {
                let block = self.read_block()?.ok_or(TarError::Truncated("a sparse header"))?;
                extended = tar_sparse::old_gnu_more(&block, &mut extents)?;
            }
            (entry.size, entry.sparse) = (size, Some(extents));
        } else if let Some(name) = pax.get("GNU.sparse.name").filter(|_| pax.contains_key("GNU.sparse.major"))
        {
            entry.path.clone_from(name);
            let size = pax.get("GNU.sparse.realsize").map(|text| number(text)).transpose()?;
            entry.size =
                size.ok_or_else(|| TarError::Malformed("a sparse file without its size".to_owned()))?;
            entry.sparse = Some(self.read_sparse_map()?);
        } else if let Some(map) = pax.get("GNU.sparse.map") {
            let size = pax.get("GNU.sparse.size").map(|text| number(text)).transpose()?;
            entry.size =
                size.ok_or_else(|| TarError::Malformed("a sparse file without its size".to_owned()))?;
            entry.sparse = Some(tar_sparse::map(map.split(|byte| *byte == b','))?);
        }
        // In the header itself is a name for readers that know nothing of holes.
        if let Some(name) = pax.get("GNU.sparse.name") {
            entry.path.clone_from(name);
        }
        match &entry.sparse {
            Some(extents) => tar_sparse::check(extents, self.left, entry.size),
            None => Ok(()),
        }
    }

    /// The map of the newest format is at the start of the content, as decimal lines in whole blocks.
    fn read_sparse_map(&mut self) -> Result<Vec<Extent>, TarError> {
        let mut text = Vec::new();
        let mut wanted = None;
        loop {
            let mut block = [0; BLOCK];
            if self.left < BLOCK as u64 {
                return Err(TarError::Malformed("a sparse map that does not end".to_owned()));
            }
            self.inner.read_exact(&mut block).map_err(|error| cut_off(error, "a sparse map"))?;
            self.left -= BLOCK as u64;
            text.extend_from_slice(&block);
            let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            if wanted.is_none() && lines.len() > 1 {
                let count = usize::try_from(number(lines[0])?).unwrap_or(usize::MAX);
                if count > MAX_EXTENTS {
                    return Err(TarError::Malformed("a sparse map that is too long".to_owned()));
                }
                wanted = Some(1 + 2 * count);
            }
            // The last piece is what follows the last line end.
            if let Some(wanted) = wanted.filter(|wanted| lines.len() > *wanted) {
                return tar_sparse::map(lines[1..wanted].iter().copied());
            }
        }
    }

    fn read_extension(&mut self, block: &[u8; BLOCK]) -> Result<Vec<u8>, TarError> {
        let size = unsigned(block, tar::SIZE, "size")?;
        if size > MAX_EXTENSION {
            return Err(TarError::Malformed(format!("an extension header of {size} bytes")));
        }
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let mut content = vec![0; length + padding(size)];
        self.inner.read_exact(&mut content).map_err(|error| cut_off(error, "an extension header"))?;
        content.truncate(length);
        Ok(content)
    }

    /// The next header; None at the end, which is an empty block or the end of the stream.
    fn read_header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let Some(block) = self.read_block()? else { return Ok(None) };
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if tar::CHECKSUM.contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        let stated = unsigned(&block, tar::CHECKSUM, "checksum")?;
        if stated != sum {
            return Err(TarError::Malformed("a header with a wrong checksum".to_owned()));
        }
        Ok(Some(block))
    }

    /// A block; None when the stream ends before it.
    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Truncated("a header")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        Ok(Some(block))
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        let wanted = self.left + self.padding as u64;
        (self.left, self.padding) = (0, 0);
        let skipped =
            io::copy(&mut self.inner.by_ref().take(wanted), &mut io::sink()).map_err(TarError::Read)?;
        if skipped < wanted { Err(TarError::Truncated("a file")) } else { Ok(()) }
    }
}

/// The content of the current entry as it is stored: of a sparse file the extents one after the other.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        match self.inner.read(&mut buffer[..length])? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off in a file")),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

fn kind(block: &[u8; BLOCK], slash: bool, link: Vec<u8>) -> Result<TarKind, TarError> {
    let part = |range| -> Result<u32, TarError> {
        let value = unsigned(block, range, "device number")?;
        u32::try_from(value).map_err(|_| out_of_range("device number"))
    };
    let device = || Ok::<_, TarError>((part(tar::MAJOR)?, part(tar::MINOR)?));
    Ok(match block[tar::TYPE] {
        // Archives from before 1988 mark a directory by its name alone.
        0 | b'0' | b'7' if slash => TarKind::Dir,
        0 | b'0' | b'7' | b'S' => TarKind::File,
        b'1' => TarKind::Hardlink(link),
        b'2' => TarKind::Symlink(link),
        b'3' => device().map(|(major, minor)| TarKind::Char(major, minor))?,
        b'4' => device().map(|(major, minor)| TarKind::Block(major, minor))?,
        b'5' => TarKind::Dir,
        b'6' => TarKind::Fifo,
        other => {
            return Err(TarError::Malformed(format!("an entry of unknown type {:?}", char::from(other))));
        }
    })
}

/// `LENGTH KEY=VALUE\n` and so on.
fn parse_records(mut bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, TarError> {
    let bad = || TarError::Malformed("a PAX record that does not parse".to_owned());
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length = usize::try_from(number(&bytes[..space])?).map_err(|_| bad())?;
        let record =
            bytes.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        let key = String::from_utf8_lossy(&record[..equals]).into_owned();
        let value = &record[equals + 1..];
        // An empty value takes back what a global header said.
        if value.is_empty() && !key.starts_with("SCHILY.xattr.") {
            records.remove(&key);
        } else if key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes" {
            let map: &mut Vec<u8> = records.entry("GNU.sparse.map".to_owned()).or_default();
            if !map.is_empty() {
                map.push(b',');
            }
            map.extend_from_slice(value);
        } else {
            records.insert(key, value.to_vec());
        }
        bytes = &bytes[length..];
    }
    Ok(records)
}

fn xattrs(pax: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let named = |(key, value): (&String, &Vec<u8>)| {
        Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), value.clone()))
    };
    pax.iter().filter_map(named).collect()
}

/// A decimal number.
pub(super) fn number(text: &[u8]) -> Result<u64, TarError> {
    let bad = || {
        TarError::Malformed(format!(
            "{:?} is no number",
            String::from_utf8_lossy(&text[..text.len().min(40)])
        ))
    };
    str::from_utf8(text).map_err(|_| bad())?.trim().parse().map_err(|_| bad())
}

/// Seconds with an optional fraction, negative before 1970.
fn time(text: &[u8]) -> Result<Timestamp, TarError> {
    let bad = || {
        TarError::Malformed(format!("{:?} is no time", String::from_utf8_lossy(&text[..text.len().min(40)])))
    };
    let text = str::from_utf8(text).map_err(|_| bad())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let secs: i64 = whole.parse().map_err(|_| bad())?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Ok(match (whole.starts_with('-'), nanos) {
        (true, 1..) => Timestamp::new(secs.saturating_sub(1), 1_000_000_000 - nanos),
        _ => Timestamp::new(secs, nanos),
    })
}

/// A number in a header: octal digits among blanks and NULs, none of them meaning 0, or, with the highest bit set, GNU's
/// big-endian two's complement.
pub(super) fn numeric(field: &[u8], what: &str) -> Result<i64, TarError> {
    let bad = || TarError::Malformed(format!("a header whose {what} does not parse"));
    if field[0] & 0x80 != 0 {
        let first = i128::from(field[0] & 0x7f) - if field[0] & 0x40 != 0 { 0x80 } else { 0 };
        let value = field[1..].iter().fold(first, |value, byte| value << 8 | i128::from(*byte));
        return i64::try_from(value).map_err(|_| out_of_range(what));
    }
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let digits = str::from_utf8(&field[..end]).map_err(|_| bad())?.trim();
    if digits.is_empty() {
        return Ok(0);
    }
    i64::from_str_radix(digits, 8).map_err(|_| bad())
}

fn unsigned(block: &[u8; BLOCK], range: Range<usize>, what: &str) -> Result<u64, TarError> {
    u64::try_from(numeric(&block[range], what)?).map_err(|_| out_of_range(what))
}

fn text_field(field: &[u8]) -> Vec<u8> {
    field.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// The name, with USTAR's prefix. GNU's own format has something else in that place.
fn path_field(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = text_field(&block[tar::NAME]);
    let prefix = text_field(&block[tar::PREFIX]);
    if prefix.is_empty() || block[tar::MAGIC] != *b"ustar\x0000" {
        return name;
    }
    [&prefix[..], b"/", &name].concat()
}

fn out_of_range(what: &str) -> TarError {
    TarError::Malformed(format!("a header whose {what} is out of range"))
}

fn cut_at_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    text
}

fn cut_off(error: io::Error, place: &'static str) -> TarError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        TarError::Truncated(place)
    } else {
        TarError::Read(error)
    }
}
