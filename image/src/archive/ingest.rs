//! One layer from outside: its blob kept, hashed and unpacked in one pass, aside from the store until it is published.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::error::ArchiveError;
use crate::digest::{BlobDigest, DiffId, Digest, HashingReader, LayerId};
use crate::layer::{self, Compression};
use crate::manifest::media_type;
use crate::store::{Came, ForeignBlob, Store, TempDir};

/// A layer that is unpacked and hashed, and not in the store yet. It vanishes when dropped.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) diff_id: DiffId,
    pub(super) blob: ForeignBlob,
    implied: Vec<Vec<u8>>,
    temp: TempDir,
    file: PathBuf,
}

/// Takes the layer that `reader` yields, compressed or not. `spooled` is a file of the store's file system with the
/// same bytes, which becomes the blob; without one the bytes are written on the way.
pub(super) fn ingest(
    store: &Store,
    member: &str,
    reader: impl Read + Send,
    spooled: Option<PathBuf>,
) -> Result<Ready, ArchiveError> {
    let temp = store.temp()?;
    let root = temp.make_dir("fs", 0o755)?;
    let (copy, file) = match spooled {
        Some(path) => (None, path),
        None => {
            let path = temp.path().join("blob");
            let copy = File::create_new(&path).map_err(temp_error("create", &path))?;
            (Some(copy), path)
        }
    };
    let mut blob = HashingReader::new(Tee { inner: reader, copy });
    let Taken { compression, implied, tar } = unpack(store, member, &mut blob, root.as_fd())?;
    drain(&mut blob)?;
    let (digest, size) = blob.finish();
    let media_type = match compression {
        Compression::None => media_type::OCI_LAYER,
        Compression::Gzip => media_type::OCI_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
    };
    let blob = ForeignBlob { digest: BlobDigest(digest), size, media_type: media_type.to_owned() };
    Ok(Ready { diff_id: DiffId(tar.unwrap_or(digest)), blob, implied, temp, file })
}

/// What is known of a layer once it is unpacked.
struct Taken {
    compression: Compression,
    /// The parents that it leaves out.
    implied: Vec<Vec<u8>>,
    /// The digest of the tar, where it is not that of the blob.
    tar: Option<Digest>,
}

/// Unpacks what `blob` yields into `root`.
fn unpack(
    store: &Store,
    member: &str,
    blob: &mut (impl Read + Send),
    root: BorrowedFd<'_>,
) -> Result<Taken, ArchiveError> {
    let failed = |source| ArchiveError::Layer { member: member.to_owned(), source };
    let (compression, mut inflated) = layer::decoder(blob).map_err(ArchiveError::Read)?;
    if compression == Compression::None {
        let unpacked = layer::unpack(&mut inflated, root, store.flavour()).map_err(failed)?;
        drain(&mut inflated)?;
        return Ok(Taken { compression, implied: unpacked.implied, tar: None });
    }
    let mut tar = HashingReader::new(inflated);
    let unpacked = layer::unpack(&mut tar, root, store.flavour()).map_err(failed)?;
    drain(&mut tar)?;
    Ok(Taken { compression, implied: unpacked.implied, tar: Some(tar.finish().0) })
}

impl Ready {
    /// Moves blob and layer to their places.
    pub(super) fn publish(self, store: &Store) -> Result<LayerId, ArchiveError> {
        let came = Came { diff_id: self.diff_id, blob: Some(self.blob), implied: self.implied };
        Ok(store.publish_foreign_layer(self.temp, came, Some(&self.file))?.id())
    }
}

/// Hands on what it reads, and writes it to a file as well.
struct Tee<R> {
    inner: R,
    copy: Option<File>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(copy) = &mut self.copy {
            copy.write_all(&buffer[..count])?;
        }
        Ok(count)
    }
}

/// A tar ends before its stream does; the digest is that of the whole stream.
fn drain(rest: &mut impl Read) -> Result<(), ArchiveError> {
    io::copy(rest, &mut io::sink()).map(drop).map_err(ArchiveError::Read)
}

fn temp_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |source| ArchiveError::Temp { action, path, source }
}
