//! A started program: waiting, signals, tidying up.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

use super::stubs::Stubs;
use crate::pretend::Pretender;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code. Under [`crate::sandbox::Init::Reaper`] a program that a signal ended shows as
    /// 128 + signal.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The code as a shell and docker show it: 128 + signal for a program that a signal ended.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// It ended with 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

/// A running sandbox. Dropping it kills the sandbox and waits for its end.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    pty: Option<OwnedFd>,
    stubs: Stubs,
    /// Answers calls about owners and ids, where those are pretended.
    pretender: Option<Pretender>,
    report: PipeReader,
    exit: Option<Exit>,
}

impl Child {
    pub(crate) fn new(pid: Pid, pidfd: OwnedFd, report: PipeReader) -> Self {
        Self { pid, pidfd, pty: None, stubs: Stubs::default(), pretender: None, report, exit: None }
    }

    pub(crate) fn started(&mut self, pty: Option<OwnedFd>, stubs: Stubs) {
        self.pty = pty;
        self.stubs = stubs;
    }

    pub(crate) fn answered_by(&mut self, pretender: Pretender) {
        self.pretender = Some(pretender);
    }

    /// Process id of the sandbox's process 1 in our pid namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Becomes readable when the sandbox has ended; for poll loops.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Our end of the program's terminal, once; None when the spec asked for none.
    pub fn take_pty(&mut self) -> Option<OwnedFd> {
        self.pty.take()
    }

    /// Waits for the end of the sandbox, then removes the stubs of its mount points.
    ///
    /// # Errors
    /// Waiting failed, or a stub that is still empty could not be removed.
    pub fn wait(&mut self) -> io::Result<Exit> {
        match self.reap(WaitIdOptions::EXITED)? {
            Some(exit) => Ok(exit),
            None => Err(io::Error::other("waiting for a sandbox gave no status")),
        }
    }

    /// Waits until no process is left that could write anything. The kernel may still be taking the sandbox's mounts
    /// apart, for which [`Child::wait`] waits.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn wait_for_processes(&mut self) -> io::Result<Exit> {
        // Who pretends has notes to write, and stubs are to be removed.
        let is_all = self.stubs.is_empty() && self.pretender.is_none();
        let mut code = [0; 4];
        // Without a report, process 1 is the program, or was killed.
        if is_all && self.report.read_exact(&mut code).is_ok() {
            return Ok(Exit::Code(i32::from_ne_bytes(code)));
        }
        self.wait()
    }

    /// As [`Child::wait`], but returns None while the sandbox still runs.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&mut self) -> io::Result<Option<Exit>> {
        self.reap(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// Sends a signal to the program, through process 1 where that is rbuild's init.
    ///
    /// # Errors
    /// The kernel refused, or the number is no signal. A sandbox that has ended is no error.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{signal} is no signal")))?;
        self.send(signal)
    }

    /// Ends the sandbox with everything in it.
    ///
    /// # Errors
    /// The kernel refused. A sandbox that has ended is no error.
    pub fn kill(&self) -> io::Result<()> {
        self.send(Signal::KILL)
    }

    fn send(&self, signal: Signal) -> io::Result<()> {
        if self.exit.is_some() {
            return Ok(());
        }
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn reap(&mut self, options: WaitIdOptions) -> io::Result<Option<Exit>> {
        if self.exit.is_some() {
            return Ok(self.exit);
        }
        let status = loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        let Some(exit) = status.as_ref().and_then(exit_of) else { return Ok(None) };
        self.exit = Some(exit);
        // Its notes are on the files when it has ended.
        if let Some(mut pretender) = self.pretender.take() {
            pretender.end();
        }
        self.stubs.remove()?;
        Ok(Some(exit))
    }
}

fn exit_of(status: &WaitIdStatus) -> Option<Exit> {
    status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal))
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit.is_none() {
            // Nothing can be done about a failure here, and the sandbox dies with this thread at the latest.
            let _ = self.kill();
            let _ = self.wait();
        }
    }
}
