//! Bytes on their way from one descriptor to another, without ever blocking the loop that drives them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;

const BUFFER: usize = 64 << 10;
/// After poll said that a pipe takes something, it takes this much without blocking (PIPE_BUF).
const PIECE: usize = 4096;

/// One end of a flow.
#[derive(Debug)]
pub(super) enum End {
    /// Closed when the flow ends, which the other side sees.
    Owned(OwnedFd),
    /// One of this process's standard streams.
    Stream(BorrowedFd<'static>),
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Owned(fd) => fd.as_fd(),
            Self::Stream(fd) => *fd,
        }
    }
}

/// Copies until the source ends or the destination takes no more; then both ends are closed. The default is
/// one that is over.
#[derive(Debug, Default)]
pub(super) struct Flow {
    ends: Option<(End, End)>,
    buffer: Vec<u8>,
    sent: usize,
}

impl Flow {
    pub(super) fn new(from: End, to: End) -> Self {
        Self { ends: Some((from, to)), buffer: Vec::new(), sent: 0 }
    }

    /// What to wait for; None when the flow is over.
    pub(super) fn awaits(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let (from, to) = self.ends.as_ref()?;
        Some(if self.is_empty() { (from.as_fd(), PollFlags::IN) } else { (to.as_fd(), PollFlags::OUT) })
    }

    /// Nothing was taken that is not delivered.
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.buffer.len()
    }

    /// Ends the flow.
    pub(super) fn close(&mut self) {
        self.ends = None;
        self.buffer.clear();
        self.sent = 0;
    }

    /// One read or one write, after what [`Flow::awaits`] says has come.
    pub(super) fn advance(&mut self) {
        let Some((from, to)) = &self.ends else { return };
        let outcome = if self.sent == self.buffer.len() {
            self.buffer.resize(BUFFER, 0);
            self.sent = 0;
            let outcome = rustix::io::read(from, &mut self.buffer[..]);
            self.buffer.truncate(*outcome.as_ref().unwrap_or(&0));
            outcome
        } else {
            let end = self.buffer.len().min(self.sent + PIECE);
            let outcome = rustix::io::write(to, &self.buffer[self.sent..end]);
            self.sent += outcome.as_ref().unwrap_or(&0);
            outcome
        };
        match outcome {
            Ok(0) => self.close(),
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            // A terminal whose other side is closed gives EIO as its end; to a closed pipe nothing can be delivered.
            Err(_) => self.close(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn drive(flow: &mut Flow) {
        while let Some((fd, flags)) = flow.awaits() {
            let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, flags)];
            rustix::event::poll(&mut fds, None).unwrap();
            flow.advance();
        }
    }

    #[test]
    fn everything_arrives_and_then_the_end() {
        let ((from, mut source), (mut sink, to)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        let data: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let expected = data.clone();
        let writer = std::thread::spawn(move || source.write_all(&data));
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            sink.read_to_end(&mut bytes).map(|_| bytes)
        });
        drive(&mut Flow::new(End::Owned(from.into()), End::Owned(to.into())));
        writer.join().unwrap().unwrap();
        assert!(reader.join().unwrap().unwrap() == expected);
    }

    #[test]
    fn a_closed_destination_closes_the_source() {
        let ((from, mut source), (sink, to)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        drop(sink);
        source.write_all(b"x").unwrap();
        drive(&mut Flow::new(End::Owned(from.into()), End::Owned(to.into())));
        assert_eq!(source.write_all(b"y").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }
}
