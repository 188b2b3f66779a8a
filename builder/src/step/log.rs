//! A step's output: passed on as it comes, kept whole and compressed, its end remembered for error messages.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::event::{Event, Observer, StepRef};

/// How much of the end of a log an error shows.
const TAIL: usize = 8 * 1024;

/// Fast, and four times smaller for the usual compiler output.
const LEVEL: i32 = 1;

/// Takes a step's output.
pub(crate) struct StepLog<'a> {
    step: StepRef,
    observer: &'a dyn Observer,
    path: PathBuf,
    /// Opened by the first byte: most steps say nothing.
    file: Option<zstd::Encoder<'static, BufWriter<File>>>,
    tail: Vec<u8>,
    kept: bool,
}

impl std::fmt::Debug for StepLog<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepLog").field("step", &self.step).field("path", &self.path).finish_non_exhaustive()
    }
}

impl<'a> StepLog<'a> {
    /// A log that will be written to `path`, compressed with zstd.
    pub(crate) fn new(observer: &'a dyn Observer, step: StepRef, path: &Path) -> Self {
        Self { step, observer, path: path.to_owned(), file: None, tail: Vec::new(), kept: false }
    }

    /// Takes what the program wrote.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.observer.on(Event::Log { step: self.step, bytes });
        self.remember(bytes);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(zstd::Encoder::new(BufWriter::new(File::create(&self.path)?), LEVEL)?),
        };
        file.write_all(bytes)
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        if self.tail.len() > 2 * TAIL {
            let cut = self.tail.len() - TAIL;
            self.tail.drain(..cut);
        }
    }

    /// Ends the log. True if there is one.
    pub(crate) fn finish(&mut self) -> io::Result<bool> {
        match self.file.take() {
            Some(file) => {
                file.finish()?.flush()?;
                self.kept = true;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// True if a log was written to its end.
    pub(crate) fn kept(&self) -> bool {
        self.kept
    }

    /// The last lines of the output, whole.
    pub(crate) fn tail(&self) -> Vec<u8> {
        let cut = self.tail.len().saturating_sub(TAIL);
        let mut tail = &self.tail[cut..];
        if cut > 0
            && let Some(end) = tail.iter().position(|&byte| byte == b'\n')
        {
            tail = &tail[end + 1..];
        }
        tail.to_vec()
    }
}

/// Hands a kept log to `sink`, piece by piece.
pub(crate) fn replay(path: &Path, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut log = zstd::Decoder::new(File::open(path)?)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match log.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => sink(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
