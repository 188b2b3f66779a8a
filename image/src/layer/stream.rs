//! A layer's tar, made in order by several threads.
//!
//! SHA-256 cannot be computed in parallel, and it is the slowest part by far. So one thread does nothing but hash;
//! readers keep a bounded number of pieces ready ahead of it, and the caller's thread writes. A small layer is done
//! where the caller stands, without any thread.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::content::{self, BUFFER, Content, Piece, Read, Reading};
use super::error::LayerError;
use super::seal::{THREADS_FROM, TarSummary};
use super::tar::END;
use crate::digest::{DiffId, Digest, Hasher};

/// Pieces that are read before they are wanted: memory against stalls.
const AHEAD: usize = 8;

/// What making a tar yielded.
pub(super) struct Streamed {
    pub(super) tar: TarSummary,
    /// What was found out about each piece.
    pub(super) contents: Vec<Vec<Content>>,
}

/// Produces the tar in order: to a hash, and to `out` if there is one.
pub(super) fn stream(reading: &Reading<'_>, out: Option<&mut dyn Write>) -> Result<Streamed, LayerError> {
    let pieces = content::pieces(reading.entries);
    let mut sink = Sink { out, size: 0, contents: Vec::with_capacity(pieces.len()) };
    let digest = if pieces.len() < THREADS_FROM {
        let mut hasher = Hasher::new();
        for piece in &pieces {
            hasher.update(&sink.take(reading.piece(piece, Vec::new())?)?);
        }
        hasher.update(&END);
        hasher.finish()
    } else {
        hash_beside(reading, &pieces, &mut sink)?
    };
    sink.write(&END)?;
    Ok(Streamed { tar: TarSummary { diff_id: DiffId(digest), size: sink.size }, contents: sink.contents })
}

/// Writes the tar without a look at its digest. Returns its length in bytes.
pub(super) fn copy(reading: &Reading<'_>, out: &mut dyn Write) -> Result<u64, LayerError> {
    let pieces = content::pieces(reading.entries);
    let mut sink = Sink { out: Some(out), size: 0, contents: Vec::with_capacity(pieces.len()) };
    let buffers = Buffers::default();
    let mut take = |read| {
        buffers.put(sink.take(read)?);
        Ok(())
    };
    if pieces.len() < THREADS_FROM {
        pieces.iter().try_for_each(|piece| take(reading.piece(piece, buffers.get())?))?;
    } else {
        read_ahead(reading, &pieces, &buffers, take)?;
    }
    sink.write(&END)?;
    Ok(sink.size)
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

/// Hashes on a thread of its own what goes into the sink.
fn hash_beside(reading: &Reading<'_>, pieces: &[Piece], sink: &mut Sink<'_>) -> Result<Digest, LayerError> {
    let buffers = &Buffers::default();
    thread::scope(|scope| {
        let (to_hasher, for_hasher) = mpsc::sync_channel(AHEAD);
        let hashing = scope.spawn(move || hash_all(&for_hasher, buffers));
        let result = read_ahead(reading, pieces, buffers, |read| {
            sink.contents.push(read.contents);
            let bytes = Arc::new(read.tar);
            // The other end is gone only if hashing panicked, which joining it reports.
            let _ = to_hasher.send(Arc::clone(&bytes));
            sink.write(&bytes)?;
            buffers.put_shared(bytes);
            Ok(())
        });
        drop(to_hasher);
        let digest = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.map(|()| digest)
    })
}

fn hash_all(incoming: &Receiver<Arc<Vec<u8>>>, buffers: &Buffers) -> Digest {
    let mut hasher = Hasher::new();
    for bytes in incoming {
        hasher.update(&bytes);
        buffers.put_shared(bytes);
    }
    hasher.update(&END);
    hasher.finish()
}

/// Calls `take` with all pieces in order, which other threads read meanwhile.
fn read_ahead(
    reading: &Reading<'_>,
    pieces: &[Piece],
    buffers: &Buffers,
    mut take: impl FnMut(Read) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    // Even where two processors have enough to do: one reader waits for the disk while the other does not.
    let readers = thread::available_parallelism().map_or(1, |cores| cores.get().clamp(2, 4));
    let window = &Window::new(pieces.len());
    let read = &|index: usize| reading.piece(&pieces[index], buffers.get());
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| window.produce(read));
        }
        let result = (0..pieces.len()).try_for_each(|index| take(window.consume(index)?));
        window.close();
        result
    })
}

/// Buffers whose bytes were hashed and written. New memory for each piece costs more than filling it.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    fn get(&self) -> Vec<u8> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    fn put(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }

    /// Takes back a buffer from the last of those who used it.
    fn put_shared(&self, bytes: Arc<Vec<u8>>) {
        if let Some(buffer) = Arc::into_inner(bytes) {
            self.put(buffer);
        }
    }
}

/// The pieces between the readers and their consumer: at most [`AHEAD`] of them, taken in order.
struct Window {
    count: usize,
    next: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    consumed: usize,
    closed: bool,
    slots: [Option<Result<Read, LayerError>>; AHEAD],
}

impl Window {
    fn new(count: usize) -> Self {
        let state = State { consumed: 0, closed: false, slots: Default::default() };
        Self { count, next: AtomicUsize::new(0), state: Mutex::new(state), changed: Condvar::new() }
    }

    fn produce(&self, read: &impl Fn(usize) -> Result<Read, LayerError>) {
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
            let read = read(index);
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
