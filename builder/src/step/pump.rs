//! Reads what a process writes.

use std::io::{self, PipeReader, Read};

/// Large enough that a compiler's burst of messages is one read.
const BUFFER: usize = 64 * 1024;

/// Hands everything that comes out of a pipe to `sink`, until nobody is left who could write.
pub(crate) fn pump(mut output: PipeReader, mut sink: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match output.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => sink(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
