//! One layer: fetched, hashed, kept and unpacked at the same time.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::super::client::Repository;
use super::super::error::RegistryError;
use super::super::progress::{Event, LayerState};
use super::super::settings::Limits;
use super::blob::BlobStream;
use crate::digest::{BlobDigest, DiffId, Hasher, HashingReader, LayerId};
use crate::layer::{self, Bounded, Unpacked};
use crate::manifest::Descriptor;
use crate::store::{Came, ForeignBlob, Store, TempDir};

const PIECE: usize = 256 << 10;
/// Pieces between the network and the unpacker.
const QUEUE: usize = 16;

/// A layer that was verified and is not in the store yet. It vanishes when dropped.
pub(super) struct Fetched {
    pub(super) diff_id: DiffId,
    came: Came,
    temp: TempDir,
    /// Where the blob lies now; None when it is in its place already.
    file: Option<PathBuf>,
}

impl Fetched {
    /// Moves blob and layer to their places.
    pub(super) fn publish(self, store: &Store) -> Result<LayerId, RegistryError> {
        Ok(store.publish_foreign_layer(self.temp, self.came, self.file.as_deref())?.id())
    }
}

/// Where the store keeps a blob as it came.
fn blob_path(store: &Store, digest: BlobDigest) -> PathBuf {
    store.path().join("blobs/sha256").join(digest.hex())
}

/// Takes the layer of `descriptor`, which must turn out to be `diff_id`. A blob that the store has is not fetched.
pub(super) fn fetch(
    store: &Store,
    repository: &Repository<'_>,
    descriptor: &Descriptor,
    diff_id: DiffId,
) -> Result<Fetched, RegistryError> {
    let Descriptor { digest, size, .. } = *descriptor;
    let say = |state| repository.retry.progress.event(Event::Layer { digest, size, state });
    let here = blob_path(store, digest);
    if fs::metadata(&here).is_ok_and(|file| file.len() == size)
        && let Ok(fetched) = unpack_here(store, repository, descriptor, diff_id, &here)
    {
        say(LayerState::Exists);
        return Ok(fetched);
    }
    say(LayerState::Transferring);
    let mut tried = 0;
    loop {
        match fetch_once(store, repository, descriptor, diff_id) {
            // Something on the way may have spoilt the bytes; a second time it is the registry.
            Err(error @ RegistryError::Corrupt { .. }) if tried == 0 => {
                tried += 1;
                let pause = repository.settings().timeouts.first_pause;
                let reason = &error.to_string();
                repository.retry.progress.event(Event::Retrying { reason, attempt: 2, pause });
            }
            Ok(fetched) => {
                say(LayerState::Done);
                return Ok(fetched);
            }
            Err(error) => return Err(error),
        }
    }
}

fn fetch_once(
    store: &Store,
    repository: &Repository<'_>,
    descriptor: &Descriptor,
    diff_id: DiffId,
) -> Result<Fetched, RegistryError> {
    let Descriptor { digest, size, .. } = *descriptor;
    let temp = store.temp()?;
    let file = temp.path().join("blob");
    let (sender, receiver) = sync_channel(QUEUE);
    let (arrived, unpacked) = thread::scope(|scope| {
        let unpacker = scope.spawn(|| {
            let limits = &repository.settings().limits;
            unpack(store, &temp, descriptor, diff_id, limits, Pieces { receiver, piece: Vec::new(), at: 0 })
        });
        let arrived = receive(BlobStream::new(repository, digest, size), &file, sender);
        let unpacked = unpacker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (arrived, unpacked)
    });
    // If the bytes are wrong, what the unpacker found in them does not matter.
    let found = arrived?;
    if found != digest {
        let what = format!("blob {digest} of {}", repository.name());
        return Err(RegistryError::Corrupt { what, expected: digest, found });
    }
    let came = came(descriptor, diff_id, unpacked?);
    Ok(Fetched { diff_id, came, temp, file: Some(file) })
}

/// Takes the layer from the blob that is in the store.
fn unpack_here(
    store: &Store,
    repository: &Repository<'_>,
    descriptor: &Descriptor,
    diff_id: DiffId,
    path: &PathBuf,
) -> Result<Fetched, RegistryError> {
    let digest = descriptor.digest;
    let temp = store.temp()?;
    let mut reader = HashingReader::new(File::open(path).map_err(RegistryError::file("open", path))?);
    let unpacked = unpack(store, &temp, descriptor, diff_id, &repository.settings().limits, &mut reader)?;
    let found = BlobDigest(reader.finish().0);
    if found != digest {
        return Err(RegistryError::Corrupt { what: path.display().to_string(), expected: digest, found });
    }
    let came = came(descriptor, diff_id, unpacked);
    Ok(Fetched { diff_id, came, temp, file: None })
}

fn came(descriptor: &Descriptor, diff_id: DiffId, unpacked: Unpacked) -> Came {
    let Descriptor { digest, size, ref media_type, .. } = *descriptor;
    let blob = ForeignBlob { digest, size, media_type: media_type.clone() };
    Came { diff_id, blob: Some(blob), implied: unpacked.implied }
}

/// Writes the blob to `file` and hands it on. When nobody takes it any more, the rest is fetched all the same: only
/// its digest says whether the unpacker or the line is at fault.
fn receive(
    mut stream: BlobStream<'_>,
    file: &PathBuf,
    sender: SyncSender<Vec<u8>>,
) -> Result<BlobDigest, RegistryError> {
    let mut out = File::create_new(file).map_err(RegistryError::file("create", file))?;
    let mut hasher = Hasher::new();
    let mut sender = Some(sender);
    loop {
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        // What arrives in small pieces is not handed on in small pieces.
        while filled < PIECE {
            match stream.read(&mut piece[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        piece.truncate(filled);
        hasher.update(&piece);
        out.write_all(&piece).map_err(RegistryError::file("write", file))?;
        if filled == 0 {
            return Ok(BlobDigest(hasher.finish()));
        }
        if sender.as_ref().is_some_and(|sender| sender.send(piece).is_err()) {
            sender = None;
        }
    }
}

/// Unpacks a blob into `temp`, and compares it with what the config promises.
fn unpack(
    store: &Store,
    temp: &TempDir,
    descriptor: &Descriptor,
    diff_id: DiffId,
    limits: &Limits,
    blob: impl Read + Send,
) -> Result<Unpacked, RegistryError> {
    let Descriptor { digest, size, .. } = *descriptor;
    let root = temp.make_dir("fs", 0o755)?;
    let limit = limits.inflated.max(size.saturating_mul(limits.inflation));
    let failed = |source| RegistryError::Layer { blob: digest.to_string(), source };
    let read_failed = |source: io::Error| failed(layer::LayerError::Write(source));
    let mut blob = blob;
    let (_, inflated) = layer::decoder(&mut blob).map_err(read_failed)?;
    let burst = AtomicBool::new(false);
    let mut tar = HashingReader::new(Bounded::new(inflated, limit, &burst));
    let result = layer::unpack(&mut tar, root.as_fd(), store.flavour())
        .map_err(failed)
        .and_then(|unpacked| io::copy(&mut tar, &mut io::sink()).map(|_| unpacked).map_err(read_failed));
    let (hash, _) = tar.finish();
    if burst.load(Ordering::Relaxed) {
        return Err(RegistryError::Bomb { blob: digest, size, limit });
    }
    let unpacked = result?;
    // What follows the end of the compressed data is a part of the blob's digest too.
    io::copy(&mut blob, &mut io::sink()).map_err(read_failed)?;
    let found = DiffId(hash);
    if found == diff_id {
        Ok(unpacked)
    } else {
        Err(RegistryError::WrongLayer { blob: digest, expected: diff_id, found })
    }
}

/// The pieces that arrive, as one stream.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            // The sender is gone: at the end, or because it failed, which is what counts then.
            let Ok(piece) = self.receiver.recv() else { return Ok(0) };
            (self.piece, self.at) = (piece, 0);
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
