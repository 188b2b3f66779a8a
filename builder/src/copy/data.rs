//! Moving the bytes of one file: cloned where the file system can, in the kernel otherwise.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;

use crate::context::read;

/// Below this, one read and one write cost less than the calls of `copy_file_range`.
const SMALL: u64 = 64 * 1024;

/// How files are copied from one file system to another; remembers what does not work.
#[derive(Debug)]
pub(crate) struct Mover {
    clones: AtomicBool,
}

impl Mover {
    pub(crate) fn new() -> Self {
        Self { clones: AtomicBool::new(true) }
    }

    /// Copies a whole file of `size` bytes into an empty one; holes stay holes.
    pub(crate) fn whole(&self, from: &File, to: &mut File, size: u64) -> io::Result<()> {
        if size == 0 {
            return Ok(());
        }
        if self.clones.load(Ordering::Relaxed) {
            match ioctl_ficlone(&*to, from) {
                Ok(()) => return Ok(()),
                Err(_) => self.clones.store(false, Ordering::Relaxed),
            }
        }
        if has_holes(from, size)? {
            return copy_data_only(from, to, size);
        }
        if size <= SMALL {
            return read::copy(from, to);
        }
        Self::range(from, 0, size, to)
    }

    /// Copies a part of a file to the end of another.
    pub(crate) fn range(from: &File, offset: u64, size: u64, to: &mut File) -> io::Result<()> {
        let (mut at, mut left) = (offset, size);
        while left > SMALL {
            let chunk = usize::try_from(left.min(1 << 30)).unwrap_or(1 << 30);
            match copy_file_range(from, Some(&mut at), &*to, None, chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => left -= count as u64,
                Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => break,
                Err(cause) => return Err(cause.into()),
            }
        }
        if left == 0 {
            return Ok(());
        }
        let mut counted = Counted { file: from, at, left };
        read::copy(&mut counted, to)?;
        if counted.left > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// A part of a file as a reader, without the position that others share.
struct Counted<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

fn has_holes(file: &File, size: u64) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(size >= 4096 && file.metadata()?.blocks() * 512 < size / 4096 * 4096)
}

fn copy_data_only(from: &File, to: &mut File, size: u64) -> io::Result<()> {
    let mut at = 0;
    loop {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(cause) => return Err(cause.into()),
        };
        let end = seek(from, SeekFrom::Hole(start))?.min(size);
        if end <= start {
            break;
        }
        seek(&*to, SeekFrom::Start(start))?;
        Mover::range(from, start, end - start, to)?;
        at = end;
    }
    to.set_len(size)
}
