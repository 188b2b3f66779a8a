//! Gzip on all cores, the same bytes whatever their number.
//!
//! The input is cut into blocks of one size. Each is deflated by itself, with the end of the block before as its
//! dictionary, up to a byte boundary; joined, they are one deflate stream and thus one member, which every reader of
//! layers takes.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress};
use rayon::prelude::*;

const BLOCK: usize = 1 << 20;
/// How far back deflate can point.
const WINDOW: usize = 32 << 10;
/// Blocks that are compressed at once. Not the number of cores: memory is bounded by it.
const BATCH: usize = 16;
/// No name, no time, no operating system: nothing that differs from one run to the next.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Compresses what is written to it. Nothing is whole before [`ParallelGzip::finish`].
pub(super) struct ParallelGzip<W> {
    out: W,
    level: Compression,
    blocks: Vec<Vec<u8>>,
    current: Vec<u8>,
    /// The end of what was compressed last.
    window: Vec<u8>,
    checksum: crc32fast::Hasher,
    length: u64,
}

impl<W: Write> ParallelGzip<W> {
    /// `level` is 1 to 9.
    pub(super) fn new(mut out: W, level: u32) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self {
            out,
            level: Compression::new(level),
            blocks: Vec::new(),
            current: Vec::with_capacity(BLOCK),
            window: Vec::new(),
            checksum: crc32fast::Hasher::new(),
            length: 0,
        })
    }

    /// Writes what is left, and gives the destination back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        // The last block may be empty: it is what ends the stream.
        let last = std::mem::take(&mut self.current);
        self.blocks.push(last);
        self.compress(true)?;
        self.out.write_all(&self.checksum.clone().finalize().to_le_bytes())?;
        // The length counts modulo 2^32.
        self.out.write_all(&self.length.to_le_bytes()[..4])?;
        Ok(self.out)
    }

    fn compress(&mut self, is_end: bool) -> io::Result<()> {
        let blocks = std::mem::take(&mut self.blocks);
        let last = blocks.len().saturating_sub(1);
        let compressed = blocks
            .par_iter()
            .enumerate()
            .map(|(at, block)| {
                let before = if at == 0 { &self.window } else { &blocks[at - 1] };
                let dictionary = &before[before.len().saturating_sub(WINDOW)..];
                let flush = if is_end && at == last { FlushCompress::Finish } else { FlushCompress::Sync };
                let mut checksum = crc32fast::Hasher::new();
                checksum.update(block);
                deflate(block, dictionary, self.level, flush).map(|bytes| (bytes, checksum))
            })
            .collect::<io::Result<Vec<_>>>()?;
        for (bytes, checksum) in &compressed {
            self.out.write_all(bytes)?;
            self.checksum.combine(checksum);
        }
        self.length += blocks.iter().map(|block| block.len() as u64).sum::<u64>();
        self.window = blocks.into_iter().next_back().unwrap_or_default();
        Ok(())
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.current.len());
        self.current.extend_from_slice(&bytes[..count]);
        if self.current.len() == BLOCK {
            self.blocks.push(std::mem::replace(&mut self.current, Vec::with_capacity(BLOCK)));
            if self.blocks.len() == BATCH {
                self.compress(false)?;
            }
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn deflate(block: &[u8], dictionary: &[u8], level: Compression, flush: FlushCompress) -> io::Result<Vec<u8>> {
    let mut state = Compress::new(level, false);
    if !dictionary.is_empty() {
        state.set_dictionary(dictionary)?;
    }
    let mut out = Vec::with_capacity(block.len() / 2 + 64);
    loop {
        let taken = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
        let status = state.compress_vec(&block[taken..], &mut out, flush)?;
        let all = state.total_in() == block.len() as u64;
        // A flush is done when it leaves room: a full buffer may hold some back.
        let is_done = match flush {
            FlushCompress::Finish => status == flate2::Status::StreamEnd,
            _ => all && out.len() < out.capacity(),
        };
        if is_done {
            return Ok(out);
        }
        out.reserve(out.capacity().max(4096));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|at| if at % 3 == 0 { next() } else { b"layer"[at % 5] }).collect()
    }

    fn compressed(input: &[u8], step: usize) -> Vec<u8> {
        let mut gzip = ParallelGzip::new(Vec::new(), 6).unwrap();
        input.chunks(step.max(1)).for_each(|piece| gzip.write_all(piece).unwrap());
        gzip.finish().unwrap()
    }

    #[test]
    fn one_member_gives_back_what_went_in() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17, BATCH * BLOCK, BATCH * BLOCK + 5] {
            let input = sample(length);
            let bytes = compressed(&input, 70_000);
            // A decoder of a single member, so that a second one would be missing.
            let mut decoder = flate2::bufread::GzDecoder::new(&bytes[..]);
            let mut output = Vec::new();
            decoder.read_to_end(&mut output).unwrap();
            assert!(output == input, "{length}");
            assert!(decoder.into_inner().is_empty(), "{length}: something follows the member");
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_cores_or_on_how_they_are_written() {
        let input = sample(5 * BLOCK + 3);
        let first = compressed(&input, 8192);
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert!(alone.install(|| compressed(&input, 1_234_567)) == first);
        let many = rayon::ThreadPoolBuilder::new().num_threads(7).build().unwrap();
        assert!(many.install(|| compressed(&input, 99)) == first);
    }
}
