//! The operations of `prepare`: files, owners and attributes that a checkout cannot hold.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use serde_json::Value;

use super::archive;

/// Carries out one operation below `root`. The error says what this machine refused.
pub(super) fn apply(root: &Path, op: &Value) -> Result<(), String> {
    let path = root.join(text(op, "path"));
    let kind = text(op, "op");
    if let Some(parent) = path.parent().filter(|_| !matches!(kind, "remove" | "rename" | "chmod")) {
        fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
    }
    carry_out(root, &path, kind, op).map_err(|e| format!("{kind} {}: {e}", text(op, "path")))
}

fn carry_out(root: &Path, path: &Path, kind: &str, op: &Value) -> io::Result<()> {
    match kind {
        "write" => fs::write(path, content(op)).and_then(|()| chmod(path, op, Some(0o644))),
        "append" => File::options().append(true).create(true).open(path)?.write_all(&content(op)),
        "mkdir" => fs::create_dir_all(path).and_then(|()| chmod(path, op, Some(0o755))),
        "chmod" => chmod(path, op, None),
        "chown" => {
            std::os::unix::fs::lchown(path, Some(number(op, "uid")), Some(number(op, "gid")))?;
            chmod(path, op, None)
        }
        "symlink" => symlink(text(op, "target"), path),
        "hardlink" => fs::hard_link(root.join(text(op, "to")), path),
        "fifo" => special(path, op, FileType::Fifo, 0o644),
        "device" if op["kind"] == "b" => special(path, op, FileType::BlockDevice, 0o600),
        "device" => special(path, op, FileType::CharacterDevice, 0o600),
        "socket" => UnixListener::bind(path).and_then(|_| chmod(path, op, Some(0o644))),
        "sparse" => sparse(path, op).and_then(|()| chmod(path, op, Some(0o644))),
        "xattr" => xattr(path, op),
        "remove" if path.is_dir() && !path.is_symlink() => fs::remove_dir_all(path),
        "remove" => fs::remove_file(path),
        "rename" => fs::rename(path, root.join(text(op, "to"))),
        "tar" => fs::write(path, archive::make(op)?).and_then(|()| chmod(path, op, Some(0o644))),
        _ => Err(io::Error::other("unknown operation")),
    }
}

/// A member that is text; empty if it is not there.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// A member that is a number; 0 if it is not there.
pub(super) fn number(value: &Value, key: &str) -> u32 {
    value[key].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default()
}

/// A member that is an octal number in a string.
pub(super) fn octal(value: &Value, key: &str) -> Option<u32> {
    value[key].as_str().map(|mode| u32::from_str_radix(mode, 8).expect("an octal number"))
}

fn chmod(path: &Path, op: &Value, default: Option<u32>) -> io::Result<()> {
    match octal(op, "mode").or(default) {
        Some(mode) => fs::set_permissions(path, Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

/// `text` or `base64`, as often as `repeat` says.
pub(super) fn content(op: &Value) -> Vec<u8> {
    let once = match op["base64"].as_str() {
        Some(encoded) => unbase64(encoded),
        None => text(op, "text").as_bytes().to_vec(),
    };
    once.repeat(op["repeat"].as_u64().map_or(1, |n| usize::try_from(n).expect("a number of copies")))
}

fn special(path: &Path, op: &Value, kind: FileType, mode: u32) -> io::Result<()> {
    let device = rustix::fs::makedev(number(op, "major"), number(op, "minor"));
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(mode), device)?;
    chmod(path, op, Some(mode))
}

fn sparse(path: &Path, op: &Value) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.set_len(op["size"].as_u64().unwrap_or_default())?;
    for piece in op["data"].as_array().into_iter().flatten() {
        file.seek(SeekFrom::Start(piece[0].as_u64().unwrap_or_default()))?;
        file.write_all(piece[1].as_str().unwrap_or_default().as_bytes())?;
    }
    Ok(())
}

fn xattr(path: &Path, op: &Value) -> io::Result<()> {
    let value = match op["base64"].as_str() {
        Some(encoded) => unbase64(encoded),
        None => text(op, "value").as_bytes().to_vec(),
    };
    let name = CString::new(text(op, "name"))?;
    Ok(rustix::fs::lsetxattr(path, &name, &value, XattrFlags::empty())?)
}

/// Base64 of the usual alphabet; whatever else is in the text is passed over.
fn unbase64(text: &str) -> Vec<u8> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}

#[test]
fn decodes_base64() {
    for (text, bytes) in
        [("", &b""[..]), ("TQ==", b"M"), ("TWE=", b"Ma"), ("TWFu", b"Man"), ("+/+/", b"\xfb\xff\xbf")]
    {
        assert_eq!(unbase64(text), bytes, "{text}");
    }
}
