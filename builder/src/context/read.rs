//! Reading the content of files, hashing it on the way.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};

use super::error::ContextError;
use super::hashes::{ContentHash, Known, now};
use super::meta::{Kind, Meta};
use super::source::Context;

const BUFFER_SIZE: usize = 256 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_SIZE]);
}

impl Context {
    /// What earlier reads say about an entry.
    pub(crate) fn remembered(&self, meta: &Meta) -> Option<Known> {
        self.hashes().get(meta, !self.is_folder())
    }

    /// Content hash of an entry and whether it has extended attributes; from memory if possible. The second
    /// value is false if it changed too recently to be remembered.
    pub(crate) fn known(&self, path: &[u8], layer: u32, meta: &Meta) -> Result<(Known, bool), ContextError> {
        let immutable = !self.is_folder();
        if let Some(known) = self.hashes().get(meta, immutable) {
            return Ok((known, true));
        }
        let read_at = now();
        let has_xattrs = !self.xattrs(path, layer)?.is_empty();
        let content = match meta.kind {
            Kind::File if meta.size == 0 => *blake3::hash(b"").as_bytes(),
            Kind::File => {
                let file = self.open(path, layer)?;
                let hash = hash(&file).map_err(|cause| ContextError::io("read", path, cause))?;
                self.check_unchanged(&file, path, meta)?;
                hash
            }
            _ => [0; 32],
        };
        let known = Known { content, has_xattrs };
        self.hashes().learn(meta, immutable, read_at, known);
        Ok((known, self.hashes().get(meta, immutable).is_some()))
    }

    /// Fails if an open file is not what it was when it was selected.
    pub(crate) fn check_unchanged(&self, file: &File, path: &[u8], meta: &Meta) -> Result<(), ContextError> {
        let now = Meta::at(file, c"").map_err(|cause| ContextError::io("stat", path, cause))?;
        if now.unchanged_since(meta) {
            return Ok(());
        }
        Err(ContextError::Changed { path: super::path::show(path) })
    }
}

/// BLAKE3 of everything that is left to read.
pub(crate) fn hash(from: impl Read) -> io::Result<ContentHash> {
    copy_hashing(from, &mut io::sink())
}

/// Copies everything that is left to read, and gives its BLAKE3.
pub(crate) fn copy_hashing(mut from: impl Read, to: &mut impl Write) -> io::Result<ContentHash> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut hasher = blake3::Hasher::new();
        loop {
            let count = match from.read(buffer) {
                Ok(0) => return Ok(*hasher.finalize().as_bytes()),
                Ok(count) => count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(cause),
            };
            hasher.update(&buffer[..count]);
            to.write_all(&buffer[..count])?;
        }
    })
}

/// Copies everything that is left to read.
pub(crate) fn copy(mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    BUFFER.with_borrow_mut(|buffer| {
        loop {
            match from.read(buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => to.write_all(&buffer[..count])?,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    })
}
