//! The files of a key, as they are kept beside a record: small, because most are never looked at.
//!
//! zstd over, for each set of files, its digest, a count and the files; numbers are little-endian. Of content
//! digests the first half is kept: it only has to tell two versions of a file apart. What few files have, a target or
//! an attribute, follows each file under letters of its own, up to a zero. Earlier versions did not keep that.

use std::io::Read;

use crate::context::Kind;
use crate::copy::{Details, FileRecord};

/// Fast: this is on the way of a step that runs.
const LEVEL: i32 = 1;
/// More than the names of all files in the world's largest repositories, in bytes. What came from a cache elsewhere may
/// inflate to anything.
const MAX_PLAIN: u64 = 1 << 30;
const MAGIC: &[u8] = b"rbuild inputs 2\n";
const MAGIC_WITHOUT_DETAILS: &[u8] = b"rbuild inputs 1\n";
/// Bytes of an attribute's value that are kept.
const VALUE: usize = 256;

/// A set of files that went into a key as one digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    /// The digest in the key.
    pub(crate) content: String,
    /// The files.
    pub(crate) files: Vec<FileRecord>,
}

/// All sets of a step. None if there are none.
pub(crate) fn encode(sets: &[Selected]) -> Option<Vec<u8>> {
    if sets.is_empty() {
        return None;
    }
    let mut plain = MAGIC.to_vec();
    for set in sets {
        put_bytes(&mut plain, set.content.as_bytes());
        plain.extend((set.files.len() as u64).to_le_bytes());
        for file in &set.files {
            put_file(&mut plain, file);
        }
    }
    zstd::encode_all(&plain[..], LEVEL).ok()
}

/// The set with that digest. None if it is not there, or cannot be read.
pub(super) fn decode(bytes: &[u8], content: &str) -> Option<Vec<FileRecord>> {
    let mut plain = Vec::new();
    zstd::Decoder::new(bytes).ok()?.take(MAX_PLAIN).read_to_end(&mut plain).ok()?;
    let with_details = plain.starts_with(MAGIC);
    let mut rest = plain.strip_prefix(if with_details { MAGIC } else { MAGIC_WITHOUT_DETAILS })?;
    while !rest.is_empty() {
        let found = take_bytes(&mut rest)? == content.as_bytes();
        let count = u64::from_le_bytes(take(&mut rest)?);
        let mut files = Vec::new();
        for _ in 0..count {
            let mut file = take_file(&mut rest)?;
            if with_details {
                file.details = take_details(&mut rest)?;
            }
            if found {
                files.push(file);
            }
        }
        if found {
            return Some(files);
        }
    }
    None
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(bytes);
}

fn put_file(out: &mut Vec<u8>, file: &FileRecord) {
    put_bytes(out, &file.path);
    for number in [file.source, file.mode, file.uid, file.gid] {
        out.extend(number.to_le_bytes());
    }
    out.push(letter(file.kind));
    out.extend(file.size.to_le_bytes());
    out.extend(&file.content[..16]);
    out.extend(&file.rest[..16]);
    if let Some(details) = &file.details {
        put_details(out, details);
    }
    out.push(0);
}

fn put_details(out: &mut Vec<u8>, details: &Details) {
    let Details { target, device, hard_link, xattrs, checkout } = details;
    for (letter, bytes) in [(b'l', target), (b'h', hard_link), (b'g', checkout)] {
        if let Some(bytes) = bytes {
            out.push(letter);
            put_bytes(out, bytes);
        }
    }
    if let Some((major, minor)) = device {
        out.push(b'd');
        out.extend([major.to_le_bytes(), minor.to_le_bytes()].concat());
    }
    for (name, value) in xattrs {
        out.push(b'x');
        put_bytes(out, name);
        put_bytes(out, &value[..value.len().min(VALUE)]);
    }
}

/// None inside if there are none.
fn take_details(rest: &mut &[u8]) -> Option<Option<Box<Details>>> {
    let mut details = Details::default();
    loop {
        match take::<1>(rest)? {
            [0] => return Some((details != Details::default()).then(|| Box::new(details))),
            [b'l'] => details.target = Some(take_bytes(rest)?.to_vec()),
            [b'h'] => details.hard_link = Some(take_bytes(rest)?.to_vec()),
            [b'g'] => details.checkout = Some(take_bytes(rest)?.to_vec()),
            [b'd'] => {
                details.device = Some((u32::from_le_bytes(take(rest)?), u32::from_le_bytes(take(rest)?)));
            }
            [b'x'] => details.xattrs.push((take_bytes(rest)?.to_vec(), take_bytes(rest)?.to_vec())),
            _ => return None,
        }
    }
}

fn take_file(rest: &mut &[u8]) -> Option<FileRecord> {
    let path = take_bytes(rest)?.to_vec();
    let mut number = || Some(u32::from_le_bytes(take(rest)?));
    let (source, mode, uid, gid) = (number()?, number()?, number()?, number()?);
    let [letter] = take::<1>(rest)?;
    let kind = KINDS.iter().find(|(known, _)| *known == letter)?.1;
    let size = u64::from_le_bytes(take(rest)?);
    let (mut content, mut other) = ([0; 32], [0; 32]);
    content[..16].copy_from_slice(&take::<16>(rest)?);
    other[..16].copy_from_slice(&take::<16>(rest)?);
    Some(FileRecord { source, path, kind, mode, uid, gid, size, content, rest: other, details: None })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(*first)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (bytes, others) = rest.split_at_checked(length)?;
    *rest = others;
    Some(bytes)
}

const KINDS: [(u8, Kind); 7] = [
    (b'f', Kind::File),
    (b'd', Kind::Dir),
    (b'l', Kind::Symlink),
    (b'c', Kind::Char),
    (b'b', Kind::Block),
    (b'p', Kind::Fifo),
    (b's', Kind::Socket),
];

fn letter(kind: Kind) -> u8 {
    KINDS.iter().find(|(_, known)| *known == kind).map_or(b'?', |(letter, _)| *letter)
}

#[cfg(test)]
mod tests {
    use super::{Selected, decode, encode};
    use crate::context::Kind;
    use crate::copy::{Details, FileRecord};

    #[test]
    fn what_is_kept_is_read_again() {
        let file = |path: &str, kind| FileRecord {
            source: 3,
            path: path.into(),
            kind,
            mode: 0o4755,
            uid: 7,
            gid: 8,
            size: 1 << 40,
            content: [9; 32],
            rest: [5; 32],
            details: None,
        };
        let details = Details {
            target: Some(b"there".to_vec()),
            device: Some((1, 3)),
            hard_link: Some(b"first".to_vec()),
            xattrs: vec![(b"user.a".to_vec(), b"b".to_vec()), (b"user.c".to_vec(), Vec::new())],
            checkout: Some(b"abc/d".to_vec()),
        };
        let link = FileRecord { details: Some(Box::new(details)), ..file("a/b", Kind::Symlink) };
        let one = Selected { content: "aa".into(), files: vec![file("x", Kind::File)] };
        let two = Selected { content: "bb".into(), files: vec![file("", Kind::Dir), link] };
        let bytes = encode(&[one, two.clone()]).expect("it is small");
        let read = decode(&bytes, "bb").expect("it is there");
        assert_eq!(read.len(), 2);
        assert_eq!((&read[1].path, read[1].kind, read[1].size), (&two.files[1].path, Kind::Symlink, 1 << 40));
        assert_eq!((read[1].mode, read[1].uid, read[1].gid, read[1].source), (0o4755, 7, 8, 3));
        assert_eq!(read[1].content[..16], [9; 16]);
        assert_eq!((&read[0].details, &read[1].details), (&None, &two.files[1].details));
        assert_eq!(decode(&bytes, "cc"), None);
        assert_eq!(decode(b"garbage", "aa"), None);
        assert_eq!(encode(&[]), None);
    }
}
