//! The tars of `prepare`: exactly the entries listed, names and numbers as they are given, however odd.

use std::io::{self, Write};

use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzWriter};
use serde_json::Value;
use tar::{EntryType, Header};

use super::prepare::{content, number, octal, text};
use super::workspace::CONTEXT_TIME;

/// Longest name or link target of a header without PAX records.
const NAME_FIELD: usize = 100;

/// Archives end on a multiple of this, as tar(1) has it; sizes and digests of whole archives were recorded.
const RECORD: usize = 20 * 512;

/// The archive, compressed as `compress` says.
pub(super) fn make(op: &Value) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if let Some(global) = op["global_pax"].as_object() {
        let records = global.iter().flat_map(|(key, value)| record(key, value.as_str().unwrap_or_default()));
        append(
            &mut out,
            &mut header(EntryType::XGlobalHeader),
            "pax_global_header",
            &records.collect::<Vec<_>>(),
        );
    }
    for entry in op["entries"].as_array().into_iter().flatten() {
        append_entry(&mut out, entry);
    }
    out.extend([0; 1024]);
    out.resize(out.len().next_multiple_of(RECORD), 0);
    match op["compress"].as_str() {
        None => Ok(out),
        Some("gzip") => {
            finish(GzEncoder::new(Vec::new(), flate2::Compression::default()), &out, GzEncoder::finish)
        }
        Some("bzip2") => {
            finish(BzEncoder::new(Vec::new(), bzip2::Compression::default()), &out, BzEncoder::finish)
        }
        Some("xz") => finish(XzWriter::new(Vec::new(), XzOptions::default())?, &out, XzWriter::finish),
        Some(other) => Err(io::Error::other(format!("unknown compression {other}"))),
    }
}

fn finish<W: Write>(
    mut to: W,
    data: &[u8],
    end: impl FnOnce(W) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    to.write_all(data)?;
    end(to)
}

fn append_entry(out: &mut Vec<u8>, entry: &Value) {
    let (name, target) = (text(entry, "name"), text(entry, "target"));
    let mut records: Vec<u8> = Vec::new();
    for (key, value) in [("path", name), ("linkpath", target)] {
        if value.len() > NAME_FIELD || !value.is_ascii() {
            records.extend(record(key, value));
        }
    }
    for (key, value) in entry["pax"].as_object().into_iter().flatten() {
        records.extend(record(key, value.as_str().unwrap_or_default()));
    }
    if !records.is_empty() {
        append(out, &mut header(EntryType::XHeader), "././@PaxHeader", &records);
    }
    let kind = entry["type"].as_str().unwrap_or("file");
    let mut header = header(match kind {
        "dir" => EntryType::Directory,
        "symlink" => EntryType::Symlink,
        "hardlink" => EntryType::Link,
        "fifo" => EntryType::Fifo,
        "char" => EntryType::Char,
        "block" => EntryType::Block,
        _ => EntryType::Regular,
    });
    header.set_mode(octal(entry, "mode").unwrap_or(if kind == "dir" { 0o755 } else { 0o644 }));
    header.set_uid(number(entry, "uid").into());
    header.set_gid(number(entry, "gid").into());
    header.set_mtime(entry["mtime"].as_u64().unwrap_or(CONTEXT_TIME));
    let ustar = header.as_ustar_mut().expect("the header is made as ustar");
    field(&mut ustar.linkname, target);
    if matches!(kind, "char" | "block") {
        ustar.set_device_major(number(entry, "major"));
        ustar.set_device_minor(number(entry, "minor"));
    }
    let slash = if kind == "dir" && !name.ends_with('/') { "/" } else { "" };
    append(
        out,
        &mut header,
        &format!("{name}{slash}"),
        &if kind == "file" { content(entry) } else { Vec::new() },
    );
}

fn header(kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Adds header and data, padded. The name goes in as it is: the archives have names that no safe writer takes.
fn append(out: &mut Vec<u8>, header: &mut Header, name: &str, data: &[u8]) {
    field(&mut header.as_ustar_mut().expect("the header is made as ustar").name, name);
    header.set_size(data.len() as u64);
    header.set_cksum();
    // Six digits, NUL, blank: as POSIX has it, and as the archives were recorded.
    let sum = header.cksum().expect("the checksum was just set");
    header.as_mut_bytes()[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend(header.as_bytes());
    out.extend(data);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn field(field: &mut [u8; NAME_FIELD], text: &str) {
    let length = text.len().min(NAME_FIELD);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}").into_bytes()
}

#[test]
fn records_count_their_own_length() {
    assert_eq!(record("path", "a"), b"9 path=a\n");
    assert_eq!(record("p", "a"), b"6 p=a\n");
    assert_eq!(record("path", &"a".repeat(90)).len(), 99);
    // One digit more makes it longer again.
    assert_eq!(record("path", &"a".repeat(91)).len(), 101);
}
