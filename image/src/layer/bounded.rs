//! Layers from strangers, which may inflate to more than anybody has room for.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Flavour, LayerError, decoder, unpack};

/// Ends with an error after so many bytes.
pub(crate) struct Bounded<'a, R> {
    inner: R,
    left: u64,
    /// Said here, since the error passes through others' hands.
    burst: &'a AtomicBool,
}

impl<'a, R> Bounded<'a, R> {
    /// At most `limit` bytes of `inner`; `burst` becomes true if there are more.
    pub(crate) fn new(inner: R, limit: u64, burst: &'a AtomicBool) -> Self {
        Self { inner, left: limit, burst }
    }
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count as u64 > self.left {
            self.burst.store(true, Ordering::Relaxed);
            return Err(io::Error::other("inflates to more than is accepted"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Unpacks the blob of a layer, however it is compressed, into `root`, an empty directory. A tar of more than `limit`
/// bytes is refused. What was unpacked is not compared with anything.
///
/// # Errors
/// When the blob is no layer, too large, or cannot be unpacked.
pub fn unpack_blob(
    blob: impl Read + Send,
    limit: u64,
    root: BorrowedFd<'_>,
    flavour: Flavour,
) -> Result<(), LayerError> {
    let burst = AtomicBool::new(false);
    let (_, inflated) = decoder(blob).map_err(LayerError::Write)?;
    unpack(Bounded::new(inflated, limit, &burst), root, flavour).map(drop)
}
