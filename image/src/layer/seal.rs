//! The names of a layer and its tar, in one pass over its files.
//!
//! SHA-256 cannot be computed in parallel, and it is the slowest part by far. So when the tar is wanted, one thread
//! does nothing but hash; readers keep a bounded number of pieces ready ahead of it, and the caller's thread writes.
//! The identity alone is computed by all cores. A small layer is done where the caller stands, without any thread.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use rayon::prelude::*;

use super::content::{self, BUFFER, Content, KnownContents, Piece, Read};
use super::entry::{Entry, EntryKind};
use super::error::LayerError;
use super::flavour::Flavour;
use super::identity::{Identity, OwnTimes};
use super::tar::END;
use super::walk::walk;
use crate::digest::{DiffId, Digest, Hasher, LayerId};
use crate::time::Timestamp;

/// Pieces that are read before the hashing thread wants them: memory against stalls.
const AHEAD: usize = 8;
/// Layers of fewer pieces are done by the calling thread alone.
const THREADS_FROM: usize = 3;

/// What a layer's tar turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TarSummary {
    /// SHA-256 of the tar.
    pub diff_id: DiffId,
    /// Length of the tar in bytes.
    pub size: u64,
}

/// What one pass over a layer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The layer's name in the store.
    pub identity: LayerId,
    /// Its tar.
    pub tar: TarSummary,
    /// How many entries it has.
    pub entries: u64,
    /// Bytes of content, hard links counted once.
    pub bytes: u64,
}

/// The identity of a layer's directory, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identified {
    /// The layer's name in the store.
    pub identity: LayerId,
    /// How many entries it has.
    pub entries: u64,
    /// Bytes of content, hard links counted once.
    pub bytes: u64,
}

/// The layer's identity in the store: see the module `identity` for what it covers.
///
/// # Errors
/// When something of the layer cannot be read.
pub fn identity(dir: BorrowedFd<'_>, flavour: Flavour, times: OwnTimes) -> Result<LayerId, LayerError> {
    identify(dir, flavour, times, &KnownContents::new()).map(|identified| identified.identity)
}

/// As [`identity`], with the counts that come along. Files whose content is `known` are not read.
///
/// # Errors
/// When something of the layer cannot be read.
pub fn identify(
    dir: BorrowedFd<'_>,
    flavour: Flavour,
    times: OwnTimes,
    known: &KnownContents,
) -> Result<Identified, LayerError> {
    let entries = walk(dir, flavour)?;
    let pieces = content::unknown_pieces(&entries, known);
    let hash = |piece: &Piece| content::hash(dir, &entries, piece, known);
    let contents = if pieces.len() < THREADS_FROM {
        pieces.iter().map(hash).collect::<Result<Vec<_>, _>>()?
    } else {
        pieces.par_iter().map(hash).collect::<Result<Vec<_>, _>>()?
    };
    let (count, bytes) = (entries.len() as u64, content_size(&entries));
    let identity = combine(entries, pieces.iter().zip(contents), times);
    Ok(Identified { identity, entries: count, bytes })
}

/// The SHA-256 of the layer's canonical tar.
///
/// # Errors
/// When something of the layer cannot be read.
pub fn diff_id(dir: BorrowedFd<'_>, flavour: Flavour) -> Result<DiffId, LayerError> {
    stream(dir, &walk(dir, flavour)?, false, None).map(|streamed| streamed.0.diff_id)
}

/// Writes the layer's canonical tar, and hashes it on the way.
///
/// # Errors
/// When something of the layer cannot be read, or `out` does not take it.
pub fn write_tar(
    dir: BorrowedFd<'_>,
    flavour: Flavour,
    out: &mut impl Write,
) -> Result<TarSummary, LayerError> {
    stream(dir, &walk(dir, flavour)?, false, Some(out)).map(|streamed| streamed.0)
}

/// Whether something in the layer was changed after `latest`, in seconds since 1970.
///
/// # Errors
/// When the layer cannot be listed.
pub fn has_times_after(dir: BorrowedFd<'_>, flavour: Flavour, latest: i64) -> Result<bool, LayerError> {
    Ok(walk(dir, flavour)?.iter().any(|entry| entry.mtime.secs > latest))
}

/// As [`write_tar`], with `latest` in the place of every later time.
///
/// # Errors
/// As [`write_tar`].
pub fn write_clamped_tar(
    dir: BorrowedFd<'_>,
    flavour: Flavour,
    latest: i64,
    out: &mut impl Write,
) -> Result<TarSummary, LayerError> {
    let mut entries = walk(dir, flavour)?;
    for entry in entries.iter_mut().filter(|entry| entry.mtime.secs > latest) {
        entry.mtime = Timestamp::new(latest, 0);
    }
    stream(dir, &entries, false, Some(out)).map(|streamed| streamed.0)
}

/// Identity, DiffID and, if wanted, the tar: every file is read once.
///
/// # Errors
/// When something of the layer cannot be read, or `out` does not take it.
pub fn seal(
    dir: BorrowedFd<'_>,
    flavour: Flavour,
    times: OwnTimes,
    out: Option<&mut dyn Write>,
) -> Result<Sealed, LayerError> {
    let entries = walk(dir, flavour)?;
    let (count, bytes) = (entries.len() as u64, content_size(&entries));
    let (tar, contents) = stream(dir, &entries, true, out)?;
    let pieces = content::pieces(&entries);
    let identity = combine(entries, pieces.iter().zip(contents), times);
    Ok(Sealed { identity, tar, entries: count, bytes })
}

fn content_size(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| if let EntryKind::File { size } = entry.kind { size } else { 0 }).sum()
}

/// Puts the identity together from the entries and what reading found out about their content.
fn combine<'a>(
    mut entries: Vec<Entry>,
    contents: impl Iterator<Item = (&'a Piece, Vec<Content>)>,
    times: OwnTimes,
) -> LayerId {
    let mut identity = Identity::new(times);
    let mut subtrees = Vec::new();
    let mut contents = contents.peekable();
    while let Some((piece, found)) = contents.next() {
        match piece {
            Piece::Entries(range) => {
                for (entry, content) in entries[range.clone()].iter_mut().zip(found) {
                    entry.capability = content.capability.or_else(|| entry.capability.take());
                    identity.push(entry, content.hash.as_ref());
                }
            }
            Piece::Slice { entry, .. } => {
                for content in found {
                    entries[*entry].capability =
                        content.capability.or_else(|| entries[*entry].capability.take());
                    subtrees.extend(content.subtree);
                }
                let more =
                    matches!(contents.peek(), Some((Piece::Slice { entry: next, .. }, _)) if next == entry);
                if !more {
                    identity.push(&entries[*entry], Some(&content::join(&subtrees)));
                    subtrees.clear();
                }
            }
        }
    }
    identity.finish()
}

/// Produces the tar in order: to a hash, and to `out` if there is one.
fn stream(
    dir: BorrowedFd<'_>,
    entries: &[Entry],
    hashes: bool,
    out: Option<&mut dyn Write>,
) -> Result<(TarSummary, Vec<Vec<Content>>), LayerError> {
    let pieces = content::pieces(entries);
    let read = |index: usize, buffer| content::read(dir, entries, &pieces[index], hashes, buffer);
    let mut sink = Sink { out, size: 0, contents: Vec::with_capacity(pieces.len()) };
    let digest = if pieces.len() < THREADS_FROM {
        let mut hasher = Hasher::new();
        for index in 0..pieces.len() {
            hasher.update(&sink.take(read(index, Vec::new())?)?);
        }
        hasher.update(&END);
        hasher.finish()
    } else {
        stream_threaded(pieces.len(), &read, &mut sink)?
    };
    sink.write(&END)?;
    Ok((TarSummary { diff_id: DiffId(digest), size: sink.size }, sink.contents))
}

struct Sink<'a> {
    out: Option<&'a mut dyn Write>,
    size: u64,
    contents: Vec<Vec<Content>>,
}

impl Sink<'_> {
    /// Keeps what a piece says, writes its part of the tar, and hands that on.
    fn take(&mut self, read: Read) -> Result<Vec<u8>, LayerError> {
        self.contents.push(read.contents);
        self.write(&read.tar)?;
        Ok(read.tar)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.size += bytes.len() as u64;
        match &mut self.out {
            Some(out) => out.write_all(bytes).map_err(LayerError::Write),
            None => Ok(()),
        }
    }
}

fn stream_threaded(
    count: usize,
    read: &(impl Fn(usize, Vec<u8>) -> Result<Read, LayerError> + Sync),
    sink: &mut Sink<'_>,
) -> Result<Digest, LayerError> {
    let readers = thread::available_parallelism().map_or(1, |cores| cores.get().clamp(2, 4) - 1);
    let window = Window::new(count);
    thread::scope(|scope| {
        let (to_hasher, for_hasher) = mpsc::sync_channel(AHEAD);
        let window = &window;
        let hashing = scope.spawn(move || hash_all(&for_hasher, window));
        for _ in 0..readers {
            scope.spawn(|| window.produce(read));
        }
        let result = pass_on(count, window, sink, &to_hasher);
        window.close();
        drop(to_hasher);
        let digest = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.map(|()| digest)
    })
}

fn hash_all(incoming: &Receiver<Arc<Vec<u8>>>, window: &Window) -> Digest {
    let mut hasher = Hasher::new();
    for bytes in incoming {
        hasher.update(&bytes);
        window.recycle(bytes);
    }
    hasher.update(&END);
    hasher.finish()
}

fn pass_on(
    count: usize,
    window: &Window,
    sink: &mut Sink<'_>,
    to_hasher: &SyncSender<Arc<Vec<u8>>>,
) -> Result<(), LayerError> {
    for index in 0..count {
        let read = window.consume(index)?;
        sink.contents.push(read.contents);
        let bytes = Arc::new(read.tar);
        // The other end is gone only if hashing panicked, which joining it reports.
        let _ = to_hasher.send(Arc::clone(&bytes));
        sink.write(&bytes)?;
        window.recycle(bytes);
    }
    Ok(())
}

/// The pieces between the readers and their consumer: at most [`AHEAD`] of them, taken in order.
struct Window {
    count: usize,
    next: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
    /// Buffers whose bytes were hashed and written. New memory for each piece costs more than filling it.
    free: Mutex<Vec<Vec<u8>>>,
}

struct State {
    consumed: usize,
    closed: bool,
    slots: [Option<Result<Read, LayerError>>; AHEAD],
}

impl Window {
    fn new(count: usize) -> Self {
        let state = State { consumed: 0, closed: false, slots: Default::default() };
        let free = Mutex::default();
        Self { count, next: AtomicUsize::new(0), state: Mutex::new(state), changed: Condvar::new(), free }
    }

    /// Takes back a buffer from the last of the two who used it.
    fn recycle(&self, bytes: Arc<Vec<u8>>) {
        if let Some(mut buffer) = Arc::into_inner(bytes) {
            buffer.clear();
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }

    fn buffer(&self) -> Vec<u8> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    fn produce(&self, read: &impl Fn(usize, Vec<u8>) -> Result<Read, LayerError>) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return;
            }
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let state =
                self.changed.wait_while(state, |state| !state.closed && index >= state.consumed + AHEAD);
            if state.unwrap_or_else(PoisonError::into_inner).closed {
                return;
            }
            let read = read(index, self.buffer());
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.slots[index % AHEAD] = Some(read);
            self.changed.notify_all();
        }
    }

    fn consume(&self, index: usize) -> Result<Read, LayerError> {
        let slot = index % AHEAD;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.changed.wait_while(state, |state| state.slots[slot].is_none());
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.consumed = index + 1;
        self.changed.notify_all();
        state.slots[slot].take().expect("it was waited for")
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }
}
