//! The headers of the canonical tar (spec 8.1).
//!
//! USTAR wherever everything fits, otherwise a PAX header before the entry. Field by field the bytes are those that
//! Go's `archive/tar` chooses, since that is what the field's tools write: an image that both build has one DiffID.

use std::collections::BTreeMap;

use super::entry::{CAPABILITY, Entry, EntryKind};
use super::fs as at;

/// Tar counts in these.
pub(crate) const BLOCK: usize = 512;
/// What a tar ends with: two empty blocks.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Before the name of a removed path.
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// The entry that makes its directory opaque.
pub(crate) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

pub(super) const NAME: std::ops::Range<usize> = 0..100;
pub(super) const MODE: std::ops::Range<usize> = 100..108;
pub(super) const UID: std::ops::Range<usize> = 108..116;
pub(super) const GID: std::ops::Range<usize> = 116..124;
pub(super) const SIZE: std::ops::Range<usize> = 124..136;
pub(super) const MTIME: std::ops::Range<usize> = 136..148;
pub(super) const CHECKSUM: std::ops::Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: std::ops::Range<usize> = 157..257;
pub(super) const MAGIC: std::ops::Range<usize> = 257..265;
pub(super) const MAJOR: std::ops::Range<usize> = 329..337;
pub(super) const MINOR: std::ops::Range<usize> = 337..345;
pub(super) const PREFIX: std::ops::Range<usize> = 345..500;

/// Appends everything of an entry but its content: PAX header if needed, header, and for an opaque directory the
/// entry that says so.
pub(crate) fn push_entry(out: &mut Vec<u8>, entry: &Entry) {
    push_header(out, &Header::of(entry));
    if entry.kind == (EntryKind::Dir { opaque: true }) {
        let mut name = entry.path.clone();
        name.push(b'/');
        name.extend_from_slice(OPAQUE_NAME);
        push_header(out, &Header { name, kind: b'0', ..Header::default() });
    }
}

/// How many bytes follow the content to fill its last block.
pub(crate) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).expect("a remainder of 512 fits");
    (BLOCK - over) % BLOCK
}

#[derive(Default)]
struct Header<'a> {
    name: Vec<u8>,
    kind: u8,
    link: &'a [u8],
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i64,
    device: (u32, u32),
    capability: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    fn of(entry: &'a Entry) -> Self {
        let mut header = Self {
            name: entry.path.clone(),
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime.secs,
            capability: entry.capability.as_deref(),
            ..Self::default()
        };
        match &entry.kind {
            EntryKind::File { size } => (header.kind, header.size) = (b'0', *size),
            EntryKind::Hardlink(first) => (header.kind, header.link) = (b'1', first),
            EntryKind::Symlink(target) => (header.kind, header.link) = (b'2', target),
            EntryKind::Char { major, minor } => (header.kind, header.device) = (b'3', (*major, *minor)),
            EntryKind::Block { major, minor } => (header.kind, header.device) = (b'4', (*major, *minor)),
            EntryKind::Dir { .. } => {
                header.kind = b'5';
                header.name.push(b'/');
            }
            EntryKind::Fifo => header.kind = b'6',
            EntryKind::Whiteout => {
                let (dir, name) = at::split(&entry.path);
                let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
                header.kind = b'0';
                header.name = [dir, slash, WHITEOUT_PREFIX, name].concat();
            }
        }
        header
    }

    /// What does not fit into a USTAR header, as PAX records.
    fn records(&self) -> BTreeMap<String, Vec<u8>> {
        let mut records = BTreeMap::new();
        let mut number = |key: &str, value: i64, fits: bool| {
            if !fits {
                records.insert(key.to_owned(), value.to_string().into_bytes());
            }
        };
        number("uid", self.uid.into(), fits(UID, self.uid.into()));
        number("gid", self.gid.into(), fits(GID, self.gid.into()));
        number("size", i64::try_from(self.size).unwrap_or(i64::MAX), fits(SIZE, self.size));
        number("mtime", self.mtime, u64::try_from(self.mtime).is_ok_and(|secs| fits(MTIME, secs)));
        let plain_name =
            is_ascii(&self.name) && (self.name.len() <= NAME.len() || split_name(&self.name).is_some());
        if !plain_name {
            records.insert("path".to_owned(), self.name.clone());
        }
        if !is_ascii(self.link) || self.link.len() > LINK.len() {
            records.insert("linkpath".to_owned(), self.link.to_vec());
        }
        if let Some(value) = self.capability {
            records.insert(format!("SCHILY.xattr.{CAPABILITY}"), value.to_vec());
        }
        // Go writes a long name as a record as soon as there is any record, even where USTAR could split it.
        if !records.is_empty() && self.name.len() > NAME.len() {
            records.insert("path".to_owned(), self.name.clone());
        }
        records
    }
}

/// The only function that makes tar headers.
fn push_header(out: &mut Vec<u8>, header: &Header<'_>) {
    let records = header.records();
    let mut block = [0; BLOCK];
    let mut prefix: &[u8] = b"";
    if records.is_empty() {
        let mut name = &header.name[..];
        if let Some((head, tail)) = split_name(name).filter(|_| name.len() > NAME.len()) {
            (prefix, name) = (head, tail);
        }
        put_text(&mut block[NAME], name);
    } else {
        push_records(out, &header.name, &records);
        put_text(&mut block[NAME], &ascii(&header.name));
    }
    put_number(&mut block, MODE, header.mode.into());
    put_number(&mut block, UID, header.uid.into());
    put_number(&mut block, GID, header.gid.into());
    put_number(&mut block, SIZE, header.size);
    put_number(&mut block, MTIME, u64::try_from(header.mtime).unwrap_or(0));
    block[TYPE] = header.kind;
    put_text(&mut block[LINK], &ascii(header.link));
    put_number(&mut block, MAJOR, header.device.0.into());
    put_number(&mut block, MINOR, header.device.1.into());
    put_text(&mut block[PREFIX], prefix);
    push_block(out, block);
}

/// The PAX header: an entry of its own, whose content are the records.
fn push_records(out: &mut Vec<u8>, name: &[u8], records: &BTreeMap<String, Vec<u8>>) {
    let mut content = Vec::new();
    for (key, value) in records {
        push_record(&mut content, key, value);
    }
    let (dir, base) = match name.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => name.split_at(slash + 1),
        None => (&b""[..], name),
    };
    let separator: &[u8] = if base.is_empty() { b"" } else { b"/" };
    let mut shown = ascii(&[dir, b"PaxHeaders.0", separator, base].concat());
    shown.truncate(NAME.len());
    while shown.last() == Some(&b'/') {
        shown.pop();
    }
    let mut block = [0; BLOCK];
    put_text(&mut block[NAME], &shown);
    for field in [MODE, UID, GID, MTIME] {
        put_number(&mut block, field, 0);
    }
    put_number(&mut block, SIZE, content.len() as u64);
    block[TYPE] = b'x';
    push_block(out, block);
    out.extend_from_slice(&content);
    out.resize(out.len() + padding(content.len() as u64), 0);
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn push_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn push_block(out: &mut Vec<u8>, mut block: [u8; BLOCK]) {
    block[MAGIC].copy_from_slice(b"ustar\x0000");
    block[CHECKSUM].fill(b' ');
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&block);
}

fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    // A file's name that happens to be cut after a slash would make it a directory for old readers.
    if text.len() > field.len() {
        let mut end = field.len();
        while end > 0 && field[end - 1] == b'/' {
            end -= 1;
        }
        field[end..].fill(0);
    }
}

/// Octal with a NUL at the end; 0 where it does not fit, for then a PAX record has it.
fn put_number(block: &mut [u8; BLOCK], field: std::ops::Range<usize>, value: u64) {
    let value = if fits(field.clone(), value) { value } else { 0 };
    let digits = field.len() - 1;
    block[field.start..field.end - 1].copy_from_slice(format!("{value:0digits$o}").as_bytes());
}

fn fits(field: std::ops::Range<usize>, value: u64) -> bool {
    value < 1 << ((field.len() - 1) * 3)
}

fn is_ascii(text: &[u8]) -> bool {
    text.iter().all(|byte| *byte < 0x80)
}

fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| *byte < 0x80).collect()
}

/// USTAR's way for names of up to 256 bytes: a prefix of at most 155, a slash, at most 100.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME.len() || !is_ascii(name) {
        return None;
    }
    let window = match name.len() {
        length if length > PREFIX.len() + 1 => PREFIX.len() + 1,
        length if name.ends_with(b"/") => length - 1,
        length => length,
    };
    let slash = name[..window].iter().rposition(|byte| *byte == b'/')?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    let good =
        !prefix.is_empty() && !rest.is_empty() && rest.len() <= NAME.len() && prefix.len() <= PREFIX.len();
    good.then_some((prefix, rest))
}
