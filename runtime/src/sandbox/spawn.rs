//! The parent's half of starting a sandbox.

use std::ffi::{CString, c_int};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::child::Child;
use super::error::SpawnError;
use super::executable;
use super::message::{self, News, Order};
use super::spec::{Network, Spec};
use super::stdio::{Io, Stdio};
use super::stubs::Stubs;
use crate::pretend::Pretender;
use crate::sys::launch::Launch;
use crate::{limits, rootless};

/// argv\[0\] of a sandbox's first process.
pub(crate) const INIT_NAME: &str = "rbuild-init";
/// Where the first process finds its order, and the socket to the parent.
pub(crate) const ORDER_FD: i32 = 3;
pub(crate) const SOCKET_FD: i32 = 4;
/// Where it says, as process 1 beside the program, how the program ended.
pub(crate) const REPORT_FD: i32 = 5;
/// File descriptors that are handed over get numbers from here on, clear of the numbers that they will have.
pub(crate) const FIRST_FREE_FD: i32 = 10;

/// Starts the process that `spec` describes and returns when the program runs.
///
/// The sandbox is killed when the calling thread ends, so a thread that spawns has to stay until
/// [`Child::wait`] has returned.
///
/// # Errors
/// See [`SpawnError`]; no process or mount is left behind then, but an `upper` may hold mount points that were made
/// before the failure.
pub fn spawn(spec: &Spec, stdio: Stdio) -> Result<Child, SpawnError> {
    check(spec)?;
    let fail = |step: &'static str| move |error: io::Error| SpawnError::setup(step, "the sandbox", &error);
    let executable = executable::protected().map_err(fail("protect the executable of"))?;
    let order = write_order(spec).map_err(fail("write the order for"))?;
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| fail("make a socket for")(error.into()))?;
    let streams = open_streams(stdio).map_err(fail("open the standard streams of"))?;
    let (report, reporter) = io::pipe().map_err(fail("make a pipe for"))?;

    let (pid, pidfd) = {
        let [stdin, stdout, stderr] = &streams;
        let order = clear_of_low_numbers(order.as_fd()).map_err(fail("prepare"))?;
        let theirs = clear_of_low_numbers(theirs.as_fd()).map_err(fail("prepare"))?;
        let reporter = clear_of_low_numbers(reporter.as_fd()).map_err(fail("prepare"))?;
        let fds =
            [stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), order.as_fd(), theirs.as_fd(), reporter.as_fd()];
        let arguments = [CString::new(INIT_NAME).expect("has no NUL")];
        Launch { executable, arguments: &arguments, fds: &fds, namespaces: namespaces(spec) }
            .start()
            .map_err(|error| SpawnError::setup("start", subject_of(&error), &error))?
    };
    // Only the sandbox may hold their end, or its closing would never be seen.
    drop((theirs, streams, reporter));
    await_start(spec, Child::new(pid, pidfd, report), ours.as_fd())
}

fn check(spec: &Spec) -> Result<(), SpawnError> {
    if spec.argv.is_empty() {
        return Err(SpawnError::Invalid("no program was given".to_owned()));
    }
    let has_nul = |text: &String| text.contains('\0');
    if spec.argv.iter().any(has_nul) || spec.env.iter().any(|(name, value)| has_nul(name) || has_nul(value)) {
        return Err(SpawnError::Invalid("an argument or variable contains a NUL byte".to_owned()));
    }
    Ok(())
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

fn namespaces(spec: &Spec) -> c_int {
    let mut flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    if spec.network == Network::None {
        flags |= libc::CLONE_NEWNET;
    }
    flags
}

fn write_order(spec: &Spec) -> io::Result<OwnedFd> {
    let order = Order {
        spec,
        in_user_namespace: rootless::in_user_namespace(),
        has_single_id: rootless::has_single_id(),
        open_files: limits::open_files_before(),
    };
    let bytes = serde_json::to_vec(&order).map_err(io::Error::other)?;
    let memfd = rustix::fs::memfd_create("rbuild-order", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memfd);
    file.write_all(&bytes)?;
    rustix::fs::fcntl_add_seals(&file, executable::all_seals())?;
    Ok(file.into())
}

fn open_streams(stdio: Stdio) -> io::Result<[OwnedFd; 3]> {
    Ok([
        open_stream(stdio.stdin, rustix::stdio::stdin())?,
        open_stream(stdio.stdout, rustix::stdio::stdout())?,
        open_stream(stdio.stderr, rustix::stdio::stderr())?,
    ])
}

fn open_stream(stream: Io, inherited: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    match stream {
        Io::Inherit => clear_of_low_numbers(inherited),
        Io::Null => {
            let null = rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
            clear_of_low_numbers(null.as_fd())
        }
        Io::Fd(fd) => clear_of_low_numbers(fd.as_fd()),
    }
}

fn clear_of_low_numbers(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, FIRST_FREE_FD)?)
}

/// Listens until the socket closes, which the program's exec does.
fn await_start(spec: &Spec, mut child: Child, socket: BorrowedFd<'_>) -> Result<Child, SpawnError> {
    let mut ready = false;
    loop {
        match message::receive(socket) {
            Ok(Some((News::Ready { stubs }, pty))) => {
                child.started(pty, Stubs::new(&spec.rootfs, stubs));
                ready = true;
            }
            Ok(Some((News::Asking { person }, Some(listener)))) => {
                let pidfd = child.pidfd().try_clone_to_owned();
                let pretender = pidfd.and_then(|pidfd| Pretender::start(listener, pidfd, person));
                let fail = |error| SpawnError::setup("answer", "the sandbox", &error);
                child.answered_by(pretender.map_err(fail)?);
            }
            Ok(Some((News::Asking { .. }, None))) => {
                let lost = io::Error::other("the file descriptor got lost");
                return Err(SpawnError::setup("hear from", "the sandbox", &lost));
            }
            Ok(Some((News::Failed(failure), _))) => {
                // The failure is what matters; waiting also removes the stubs of a rootfs that stays.
                let _ = child.wait();
                return Err(failure.into());
            }
            Ok(None) if ready => return Ok(child),
            Ok(None) => {
                let exit =
                    child.wait().map_err(|error| SpawnError::setup("wait for", "the sandbox", &error))?;
                return Err(SpawnError::Died(format!("{exit:?}")));
            }
            Err(error) => return Err(SpawnError::setup("hear from", "the sandbox", &error)),
        }
    }
}
