//! Extended attributes: which ones a copy takes along, reading and writing.

use std::os::fd::RawFd;

use rustix::fs::{AtFlags, CWD, FileType, XattrFlags, lgetxattr, llistxattr, lsetxattr, statat};
use rustix::io::Errno;

/// Names and values, by name.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The one attribute in `security.` that belongs to the file and not to the host.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Reads the attributes of `path` below a directory, without following a last link. Those with which overlayfs
/// and rbuild keep their books are left out.
pub(crate) fn read(dir: RawFd, path: &[u8]) -> Result<Xattrs, Errno> {
    let file = magic(dir, path);
    let mut names = Vec::with_capacity(256);
    let names = loop {
        names.clear();
        match llistxattr(file.as_slice(), rustix::buffer::spare_capacity(&mut names)) {
            Ok(_) => break names,
            Err(Errno::RANGE) => names.reserve(names.capacity() * 2),
            // No such attributes on this file system, or no /proc to go through.
            Err(Errno::OPNOTSUPP | Errno::NOENT) => return Ok(Vec::new()),
            Err(cause) => return Err(cause),
        }
    };
    let mut xattrs = Vec::new();
    for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        if is_bookkeeping(name) || is_hosts(name) || (name == CAPABILITY && !has_capabilities(&file)?) {
            continue;
        }
        let mut value = Vec::with_capacity(128);
        loop {
            match lgetxattr(file.as_slice(), name, rustix::buffer::spare_capacity(&mut value)) {
                Ok(_) => break,
                Err(Errno::RANGE) => value.reserve(value.capacity() * 2),
                Err(cause) => return Err(cause),
            }
        }
        xattrs.push((name.to_vec(), value));
    }
    xattrs.sort_unstable();
    Ok(xattrs)
}

/// Sets attributes on `path` below a directory. What the file system or the kernel refuses is left out, as
/// BuildKit does it.
pub(crate) fn write(dir: RawFd, path: &[u8], xattrs: &Xattrs) {
    if xattrs.is_empty() {
        return;
    }
    let file = magic(dir, path);
    for (name, value) in xattrs {
        // Refusals are not an error: `user.` attributes do not exist everywhere, others need privileges.
        let _ = lsetxattr(file.as_slice(), name.as_slice(), value, XattrFlags::empty());
    }
}

/// What the transfer of a context leaves of a file's attributes (spec 5.1).
pub(crate) fn sent(mut xattrs: Xattrs) -> Xattrs {
    xattrs.retain(|(name, _)| name != CAPABILITY && !name.starts_with(b"com.apple."));
    xattrs
}

/// What is part of a file's identity in the cache (spec 7.3).
pub(crate) fn counts(name: &[u8]) -> bool {
    name == CAPABILITY || !(name.starts_with(b"security.") || name.starts_with(b"system."))
}

fn is_bookkeeping(name: &[u8]) -> bool {
    [b"trusted.overlay.".as_slice(), b"user.overlay.", b"user.rbuild."]
        .iter()
        .any(|own| name.starts_with(own))
}

/// Labels of security modules say something about this host, never about the image.
fn is_hosts(name: &[u8]) -> bool {
    name.starts_with(b"security.") && name != CAPABILITY
}

/// Only programs and folders have capabilities of their own; on anything else the attribute notes an owner.
fn has_capabilities(file: &[u8]) -> Result<bool, Errno> {
    let kind = FileType::from_raw_mode(statat(CWD, file, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    Ok(matches!(kind, FileType::RegularFile | FileType::Directory))
}

fn magic(dir: RawFd, path: &[u8]) -> Vec<u8> {
    let mut file = format!("/proc/self/fd/{dir}/").into_bytes();
    file.extend_from_slice(path);
    file
}
