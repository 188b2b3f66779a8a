//! The program's process, forked before there is an order.
//!
//! Putting the limits on takes as long as a small program runs: the kernel translates the system call filter. So the
//! process does that while process 1 makes mounts and waits for the order. It is in the same namespaces, so it sees
//! every mount, and a pivot takes along whoever has the old root for its root and working directory.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::entry::take_streams;
use super::identity::Identity;
use super::program::Program;
use super::terminal::Terminal;
use crate::sandbox::error::Failure;
use crate::sandbox::limits::Limits;
use crate::sandbox::message;
use crate::ulimit::Ulimit;
use crate::{limits, sys};

/// What the process becomes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Role {
    pub(super) program: Program,
    pub(super) identity: Identity,
    /// The soft limit of open files; None for process 1's own.
    pub(super) open_files: Option<u64>,
    pub(super) ulimits: Vec<Ulimit>,
}

impl Role {
    /// What has to be done before the program's rights are limited to those of its user.
    pub(super) fn begin(&self, terminal: Option<&Terminal>) -> Result<(), Failure> {
        rustix::process::setsid().map_err(|error| Failure::setup("start", "a session", error))?;
        if let Some(terminal) = terminal {
            terminal.take_over()?;
        }
        if let Some(soft) = self.open_files {
            limits::set_open_files(soft);
        }
        self.ulimits.iter().for_each(Ulimit::set);
        Ok(())
    }
}

/// A process that waits for its role.
#[derive(Debug)]
pub(super) struct Early {
    pid: Pid,
    socket: UnixStream,
}

impl Early {
    /// Forks it. In the process itself this returns nothing but a failure.
    pub(super) fn fork(limits: Limits) -> Result<Self, Failure> {
        let fail = |error: io::Error| Failure::setup("fork in", "the sandbox", error);
        let (ours, theirs) = UnixStream::pair().map_err(fail)?;
        match sys::process::fork().map_err(fail)? {
            Some(pid) => Ok(Self { pid, socket: ours }),
            None => {
                drop(ours);
                match live(limits, theirs) {
                    Ok(never) => match never {},
                    Err(failure) => Err(failure),
                }
            }
        }
    }

    /// Has it play its role, with this process's standard streams, and says who it is.
    pub(super) fn play(self, role: &Role, workdir: BorrowedFd<'_>) -> Result<Pid, Failure> {
        self.send(role, workdir).map_err(|error| Failure::setup("start", "the program", error))?;
        Ok(self.pid)
    }

    fn send(&self, role: &Role, workdir: BorrowedFd<'_>) -> io::Result<()> {
        let bytes = serde_json::to_vec(role)?;
        let fds = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr(), workdir];
        // Arguments can be longer than a message: they follow, up to the end.
        message::send_files(self.socket.as_fd(), &fds)?;
        (&self.socket).write_all(&bytes)
    }
}

fn live(limits: Limits, socket: UnixStream) -> Result<Infallible, Failure> {
    let fail = |error| Failure::setup("start", "the program", error);
    limits.limit_capabilities()?;
    limits.filter_calls()?;
    rustix::process::chdir("/").map_err(|error| fail(error.into()))?;
    let Some(role) = receive(socket).map_err(fail)? else {
        // Process 1 goes, and everything in the sandbox with it.
        sys::process::exit_now(0)
    };
    role.begin(None)?;
    role.identity.assume_within_limits()?;
    role.program.execute()
}

/// Takes the streams, goes to the working directory, and says what to become.
fn receive(mut socket: UnixStream) -> io::Result<Option<Role>> {
    let Some((mut bytes, files)) = message::receive_files(socket.as_fd())? else { return Ok(None) };
    let [stdin, stdout, stderr, workdir] = files;
    take_streams([stdin, stdout, stderr])?;
    rustix::process::fchdir(&workdir)?;
    socket.read_to_end(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}
