//! Places where blobs are kept by their digests, with one head that can be switched: what a cache travels in.
//!
//! A place is a folder ([`Folder`]), a tag of a repository in a registry ([`Repository`]), or a bucket of an object store
//! ([`Bucket`]).
//! What lies there is an artifact as the OCI image specification has it: a manifest, which names a config
//! and layers. The manifest that a reader finds first is the *head*.
//!
//! Invariants: blobs are written before the head that names them, and the head is switched in one step, so a reader
//! sees the old artifact or the new one, never a mixture; and nothing that comes from a place is believed: it is bounded by
//! the size and compared with the digest that asked for it.

mod address;
mod bucket;
mod error;
mod folder;
mod prune;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

pub use crate::registry::Place as Repository;
pub use address::{Address, BucketAddress};
pub use bucket::{Access, Bucket, BucketSettings, Key, PART_SIZE};
pub use error::PlaceError;
pub use folder::Folder;
pub use prune::{Head, Keep, Removed, Stored, prune};

use crate::digest::{BlobDigest, Hasher};
use crate::manifest::Descriptor;

/// Media type of the config of an artifact that is a cache of rbuild.
pub const CACHE_CONFIG: &str = "application/vnd.rbuild.cache.config.v1+json";
/// Annotation of its manifest: when it was made (RFC 3339).
pub const CACHE_CREATED: &str = "org.opencontainers.image.created";
/// Annotation of its manifest: the digest of the one whose place it took.
pub const CACHE_PREVIOUS: &str = "vnd.rbuild.cache.previous";

/// A place. Asked by several threads at once.
pub trait Place: fmt::Debug + Send + Sync {
    /// As people say it: `folder /tmp/cache`.
    fn name(&self) -> String;

    /// Where it is, to be kept and found again.
    fn address(&self) -> Address;

    /// The manifest that is current; None if there is none.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn head(&self) -> Result<Option<Vec<u8>>, PlaceError>;

    /// Hands a blob to `out`. The bytes are not verified; [`fetch`] and [`read_small`] do that.
    ///
    /// # Errors
    /// When the blob is not there or cannot be read, or `out` takes no more.
    fn read(&self, blob: &Descriptor, out: &mut dyn Write) -> Result<(), PlaceError>;

    /// Whether a blob is there.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn has(&self, blob: &Descriptor) -> Result<bool, PlaceError>;

    /// Puts a blob in its place, in place of one that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, blob: &Descriptor, file: &Path) -> Result<(), PlaceError>;

    /// Makes a manifest the current one. Everything that it names is there.
    ///
    /// # Errors
    /// When it cannot be written. Then the old one is still current.
    fn switch(&self, manifest: &[u8]) -> Result<(), PlaceError>;

    /// All artifacts of the place, also those under other names.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn heads(&self) -> Result<Vec<Head>, PlaceError>;

    /// Forgets an artifact; its blobs stay.
    ///
    /// # Errors
    /// When the place does not allow it.
    fn remove_head(&self, head: &Head) -> Result<(), PlaceError>;

    /// All blobs of the place, or none where the place collects them by itself.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn blobs(&self) -> Result<Vec<Stored>, PlaceError>;

    /// Removes a blob.
    ///
    /// # Errors
    /// When the place does not allow it.
    fn remove_blob(&self, digest: BlobDigest) -> Result<(), PlaceError>;
}

/// Brings a blob of a place into a new file, verified.
///
/// # Errors
/// When it is not there, or not what its descriptor says.
pub fn fetch(place: &dyn Place, blob: &Descriptor, file: &Path) -> Result<(), PlaceError> {
    let out = File::create_new(file).map_err(PlaceError::file("create", file))?;
    verified(place, blob, out)
}

/// The bytes of a small blob, verified.
///
/// # Errors
/// As [`fetch`], and when it is larger than `limit` bytes.
pub fn read_small(place: &dyn Place, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, PlaceError> {
    if blob.size > limit {
        return Err(PlaceError::wrong(place, blob, format!("is larger than {limit} bytes")));
    }
    let mut bytes = Vec::new();
    verified(place, blob, &mut bytes)?;
    Ok(bytes)
}

fn verified(place: &dyn Place, blob: &Descriptor, out: impl Write) -> Result<(), PlaceError> {
    let mut checked = Checked { out, hasher: Hasher::new(), left: blob.size, too_long: false };
    let read = place.read(blob, &mut checked);
    if checked.too_long {
        return Err(PlaceError::wrong(place, blob, format!("is longer than {} bytes", blob.size)));
    }
    read?;
    if checked.left > 0 {
        let what = format!("is {} of {} bytes long", blob.size - checked.left, blob.size);
        return Err(PlaceError::wrong(place, blob, what));
    }
    let found = BlobDigest(checked.hasher.finish());
    if found != blob.digest {
        return Err(PlaceError::wrong(place, blob, format!("is corrupt: its digest is {found}")));
    }
    Ok(())
}

/// Hashes what is written through it, and ends it after the size that was promised.
struct Checked<W> {
    out: W,
    hasher: Hasher,
    left: u64,
    too_long: bool,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            self.too_long = true;
            return Err(io::Error::other("longer than promised"));
        };
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.left = left;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
