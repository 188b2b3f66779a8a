//! A sandbox's first process, before it has an order.
//!
//! What it does first is the same for most sandboxes: it starts, in new namespaces, and makes the mounts that every
//! sandbox has. That is a third of a small step's time, and nothing of it depends on the step. So whoever knows that
//! another program of the kind will follow launches its sandbox while this one's program runs.
//!
//! A sandbox that waits has a copy of the host's mounts, which somebody may want to unmount meanwhile. So it waits for
//! [`PATIENCE`] only; who comes later launches another one.

use std::ffi::{CString, c_int};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::child::Child;
use super::error::SpawnError;
use super::executable;
use super::limits::Limits;
use super::message::{self, Ground, News, OrderFiles};
use super::spawn::open_null;
use super::spec::{Init, Network, Privilege, Spec};
use super::stubs::Stubs;
use crate::pretend::Pretender;
use crate::rootless;
use crate::sys::launch::Launch;

/// argv\[0\] of a sandbox's first process.
pub(crate) const INIT_NAME: &str = "rbuild-init";
/// Where the first process finds the socket to the parent.
pub(crate) const SOCKET_FD: i32 = 3;
/// Where it says, as process 1 beside the program, how the program ended.
pub(crate) const REPORT_FD: i32 = 4;
/// File descriptors that are handed over get numbers from here on, clear of the numbers that they will have.
pub(crate) const FIRST_FREE_FD: i32 = 10;

/// How long a sandbox waits for an order, in milliseconds.
const PATIENCE: u32 = 1000;

/// What has to be known of a program before its sandbox is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    network: Network,
    is_unrestricted: bool,
    shm_size: u64,
    early: Option<Limits>,
}

impl Kind {
    /// That of this program.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let is_unrestricted = spec.privilege == Privilege::All;
        // Where ids are pretended, the limits come after somebody is there to answer.
        let is_early = spec.init == Init::Reaper && spec.terminal.is_none() && !rootless::has_single_id();
        // Of wrong names it is told when it has its order.
        let limits = Limits::of(&spec.privilege).ok().flatten().filter(|_| is_early);
        Self { network: spec.network, is_unrestricted, shm_size: spec.shm_size, early: limits }
    }

    fn ground(self, patience: Option<u32>) -> Ground {
        let Self { is_unrestricted, shm_size, early, .. } = self;
        let in_user_namespace = rootless::in_user_namespace();
        Ground { is_unrestricted, shm_size, in_user_namespace, early, patience }
    }
}

/// A sandbox that waits for an order. Dropping it ends it.
#[derive(Debug)]
pub struct Standby {
    child: Child,
    socket: OwnedFd,
    kind: Kind,
    patience: Option<u32>,
}

impl Standby {
    /// Launches a sandbox for a program that is still to come. It is killed when the calling thread ends.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn launch(kind: Kind) -> Result<Self, SpawnError> {
        Self::launch_with(kind, Some(PATIENCE))
    }

    /// The same for a program that is there.
    pub(super) fn launch_now(kind: Kind) -> Result<Self, SpawnError> {
        Self::launch_with(kind, None)
    }

    fn launch_with(kind: Kind, patience: Option<u32>) -> Result<Self, SpawnError> {
        let fail =
            |step: &'static str| move |error: io::Error| SpawnError::setup(step, "the sandbox", &error);
        let executable = executable::protected().map_err(fail("protect the executable of"))?;
        let (socket, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| fail("make a socket for")(error.into()))?;
        message::send_ground(socket.as_fd(), &kind.ground(patience)).map_err(fail("write to"))?;
        let (report, reporter) = io::pipe().map_err(fail("make a pipe for"))?;
        let null = open_null().and_then(clear_of_low_numbers).map_err(fail("prepare"))?;
        let theirs = clear_of_low_numbers(theirs).map_err(fail("prepare"))?;
        let reporter = clear_of_low_numbers(reporter.into()).map_err(fail("prepare"))?;
        let fds = [null.as_fd(), null.as_fd(), null.as_fd(), theirs.as_fd(), reporter.as_fd()];
        let arguments = [CString::new(INIT_NAME).expect("has no NUL")];
        let (pid, pidfd) =
            Launch { executable, arguments: &arguments, fds: &fds, namespaces: namespaces(kind.network) }
                .start()
                .map_err(|error| SpawnError::setup("start", subject_of(&error), &error))?;
        // Only the sandbox may hold its ends, or their closing would never be seen: they go here.
        Ok(Self { child: Child::new(pid, pidfd, report), socket, kind, patience })
    }

    /// Whether a program can be started in it.
    pub(super) fn fits(&self, spec: &Spec) -> bool {
        self.kind == Kind::of(spec)
    }

    /// Has the program started; None if a sandbox that had to wait has gone before.
    pub(super) fn start(mut self, spec: &Spec, files: &OrderFiles) -> Result<Option<Child>, SpawnError> {
        let failed = |step| move |error: io::Error| SpawnError::setup(step, "the sandbox", &error);
        match message::send_order(self.socket.as_fd(), files) {
            // Why it has gone is in the socket, or its exit code says it.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => {}
            other => other.map_err(failed("write to"))?,
        }
        if self.await_start(spec)? {
            return Ok(Some(self.child));
        }
        let exit = self.child.wait().map_err(failed("wait for"))?;
        if self.patience.is_some() { Ok(None) } else { Err(SpawnError::Died(format!("{exit:?}"))) }
    }

    /// Listens until the socket closes, which the program's exec does. False if there was no program.
    fn await_start(&mut self, spec: &Spec) -> Result<bool, SpawnError> {
        let mut ready = false;
        loop {
            match message::receive(self.socket.as_fd()) {
                Ok(Some((News::Ready { stubs }, pty))) => {
                    self.child.started(pty, Stubs::new(&spec.rootfs, stubs));
                    ready = true;
                }
                Ok(Some((News::Asking { person }, Some(listener)))) => {
                    let pidfd = self.child.pidfd().try_clone_to_owned();
                    let pretender = pidfd.and_then(|pidfd| Pretender::start(listener, pidfd, person));
                    let fail = |error| SpawnError::setup("answer", "the sandbox", &error);
                    self.child.answered_by(pretender.map_err(fail)?);
                }
                Ok(Some((News::Asking { .. }, None))) => {
                    let lost = io::Error::other("the file descriptor got lost");
                    return Err(SpawnError::setup("hear from", "the sandbox", &lost));
                }
                Ok(Some((News::Failed(failure), _))) => {
                    // The failure is what matters; waiting also removes the stubs of a rootfs that stays.
                    let _ = self.child.wait();
                    return Err(failure.into());
                }
                Ok(None) => return Ok(ready),
                Err(error) => return Err(SpawnError::setup("hear from", "the sandbox", &error)),
            }
        }
    }
}

/// What could not be started, and why that may be.
fn subject_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "the sandbox (it needs new namespaces, which containers may not make unless they are started with \
             `docker run --privileged` or the like)"
        }
        _ => "the sandbox",
    }
}

fn namespaces(network: Network) -> c_int {
    let mut flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    if network == Network::None {
        flags |= libc::CLONE_NEWNET;
    }
    flags
}

fn clear_of_low_numbers(fd: OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() >= FIRST_FREE_FD {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, FIRST_FREE_FD)?)
}
