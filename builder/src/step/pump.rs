//! Reads what a process writes, from both of its streams at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};

use crate::event::Stream;

/// Large enough that a compiler's burst of messages is one read.
const BUFFER: usize = 64 * 1024;

/// Hands everything that comes out of the two pipes to `sink`, until both are closed.
pub(crate) fn pump(
    stdout: OwnedFd,
    stderr: OwnedFd,
    mut sink: impl FnMut(Stream, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut open = vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)];
    let mut buffer = vec![0; BUFFER];
    while !open.is_empty() {
        let mut fds: Vec<PollFd<'_>> =
            open.iter().map(|(_, fd)| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let readable: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ended = Vec::new();
        for (index, (stream, fd)) in open.iter().enumerate().filter(|(index, _)| readable[*index]) {
            match read_some(fd.as_fd(), &mut buffer)? {
                Some(0) => ended.push(index),
                Some(count) => sink(*stream, &buffer[..count])?,
                None => {}
            }
        }
        for index in ended.into_iter().rev() {
            open.remove(index);
        }
    }
    Ok(())
}

/// None if there was nothing to read after all.
fn read_some(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match read(fd, buffer) {
        Ok(count) => Ok(Some(count)),
        Err(Errno::INTR | Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::pump;
    use crate::event::Stream;

    #[test]
    fn both_streams_arrive_whole() {
        let (out_read, out_write) = rustix::pipe::pipe().unwrap();
        let (err_read, err_write) = rustix::pipe::pipe().unwrap();
        let writer = std::thread::spawn(move || {
            let (mut out, mut err) = (std::fs::File::from(out_write), std::fs::File::from(err_write));
            for number in 0..10_000 {
                writeln!(out, "out {number}").unwrap();
                writeln!(err, "err {number}").unwrap();
            }
        });
        let (mut out, mut err) = (Vec::new(), Vec::new());
        pump(out_read, err_read, |stream, bytes| {
            match stream {
                Stream::Stdout => out.extend_from_slice(bytes),
                Stream::Stderr => err.extend_from_slice(bytes),
            }
            Ok(())
        })
        .unwrap();
        writer.join().unwrap();
        let lines = |name: &str| (0..10_000).map(|n| format!("{name} {n}\n")).collect::<String>();
        assert_eq!(String::from_utf8(out).unwrap(), lines("out"));
        assert_eq!(String::from_utf8(err).unwrap(), lines("err"));
    }
}
