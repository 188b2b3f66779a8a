//! Starting a sandbox, the parent's half: the order goes to a first process that is waiting for it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags};

use super::child::Child;
use super::error::SpawnError;
use super::executable;
use super::message::{Order, OrderFiles};
use super::spec::Spec;
use super::standby::{Kind, Standby};
use super::stdio::{Io, Stdio};
use crate::{limits, rootless};

/// Starts the process that `spec` describes and returns when the program runs.
///
/// The sandbox is killed when the calling thread ends, so a thread that spawns has to stay until
/// [`Child::wait`] has returned.
///
/// # Errors
/// See [`SpawnError`]; no process or mount is left behind then, but an `upper` may hold mount points that were made
/// before the failure.
pub fn spawn(spec: &Spec, stdio: Stdio) -> Result<Child, SpawnError> {
    spawn_in(None, spec, stdio)
}

/// The same in a sandbox that is waiting for it, if it is there still and of the right kind. Then it is the thread that
/// launched it which has to stay.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_in(standby: Option<Standby>, spec: &Spec, stdio: Stdio) -> Result<Child, SpawnError> {
    check(spec)?;
    let fail = |step: &'static str| move |error: io::Error| SpawnError::setup(step, "the sandbox", &error);
    let order = write_order(spec).map_err(fail("write the order for"))?;
    let streams = open_streams(stdio).map_err(fail("open the standard streams of"))?;
    let files = OrderFiles { order, streams };
    if let Some(standby) = standby.filter(|standby| standby.fits(spec))
        && let Some(child) = standby.start(spec, &files)?
    {
        return Ok(child);
    }
    let left = || SpawnError::Died("it took no order".to_owned());
    Standby::launch_now(Kind::of(spec))?.start(spec, &files)?.ok_or_else(left)
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
        Io::Inherit => inherited.try_clone_to_owned(),
        Io::Null => open_null(),
        Io::Fd(fd) => Ok(fd),
    }
}

pub(super) fn open_null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}
