//! Inflating what layers come in: plain, gzip, zstd, told apart by their first bytes and not by their names.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// A zstd frame may ask for a window of at most two to this: 128 MiB, what `zstd --long` makes by default.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

impl Compression {
    /// How many first bytes [`Compression::of`] looks at.
    pub const MAGIC_LENGTH: usize = 4;

    /// Tells by the first bytes.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Looks at the first bytes and returns what they promise, with a reader of the inflated bytes. Gzip streams of
/// several members and zstd streams of several frames are read to their end.
///
/// # Errors
/// When the first bytes cannot be read. A stream that turns out damaged fails while it is read.
pub fn decoder<'a>(reader: impl Read + Send + 'a) -> io::Result<(Compression, Box<dyn Read + Send + 'a>)> {
    let mut reader = BufReader::with_capacity(128 * 1024, reader);
    let compression = Compression::of(first_bytes(&mut reader)?);
    let inflated: Box<dyn Read + Send + 'a> = match compression {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    };
    Ok((compression, inflated))
}

/// What the first read yields. A pipe may hand over a single byte at first; but no writer of archives does, and a
/// stream that is then taken for plain fails at its first header.
fn first_bytes<R: Read>(reader: &mut BufReader<R>) -> io::Result<&[u8]> {
    loop {
        match reader.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(reader.buffer())
}
