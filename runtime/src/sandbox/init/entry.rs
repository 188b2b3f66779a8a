//! The steps of process 1, in order.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::Mode;
use rustix::process::Signal;

use super::early::{Early, Role};
use super::identity::Identity;
use super::place::{self, Kind};
use super::program::Program;
use super::standard::Standard;
use super::terminal::Terminal;
use super::{reaper, world};
use crate::sandbox::error::Failure;
use crate::sandbox::message::{self, Ground, News, OrderFiles, ReceivedOrder};
use crate::sandbox::spec::{Init, Network, Spec};
use crate::sandbox::standby::{INIT_NAME, REPORT_FD, SOCKET_FD};
use crate::sys;

/// Returns at once, unless this process is the first one of a sandbox: then it never returns. Must be the first
/// line of `main`, before any thread exists.
#[expect(clippy::exit, reason = "the first process of a sandbox must not go on as rbuild")]
pub fn dispatch() {
    if std::env::args_os().next().is_none_or(|name| name.as_bytes() != INIT_NAME.as_bytes()) {
        return;
    }
    let socket = sys::process::inherited(SOCKET_FD);
    let Err(failure) = run(&socket);
    // When nobody listens any more, nobody needs to know.
    let _ = message::send(socket.as_fd(), &News::Failed(failure), None);
    std::process::exit(125)
}

fn run(socket: &OwnedFd) -> Result<Infallible, Failure> {
    let fail = |error| Failure::setup("prepare", "the sandbox", error);
    let report = sys::process::inherited(REPORT_FD);
    let ground = prepare(socket, &report).map_err(fail)?;
    // What is made gets exactly the permissions that are asked for.
    rustix::process::umask(Mode::empty());
    let early = ground.early.map(Early::fork).transpose()?;
    let standard = Standard::make(&ground)?;
    let order = take_order(socket, &ground).map_err(fail)?;
    let spec = &order.spec;
    set_up_machine(spec)?;
    let world = world::build(&order, standard)?;
    let identity = Identity::of(&order, &world.root)?;
    let workdir = enter_workdir(spec, &world, &identity)?;
    let terminal = spec.terminal.map(|size| Terminal::open(&world.root, size)).transpose()?;
    let program = Program::new(spec, identity.home());
    let role = Role { program, identity, open_files: order.open_files, ulimits: spec.ulimits.clone() };
    let pty = terminal.as_ref().map(|terminal| terminal.master.as_fd());
    message::send(socket.as_fd(), &News::Ready { stubs: world.stubs }, pty)
        .map_err(|error| Failure::setup("report to", "rbuild", error))?;
    drop(world.root);

    let become_program = || -> Result<Infallible, Failure> {
        role.begin(terminal.as_ref())?;
        role.identity.assume(socket.as_fd())?;
        role.program.execute()
    };
    match (spec.init, early) {
        (Init::Program, _) => become_program(),
        (Init::Reaper, Some(early)) => reaper::watch(early.play(&role, workdir.as_fd())?, &report),
        (Init::Reaper, None) => match sys::process::fork() {
            Ok(None) => become_program(),
            Ok(Some(child)) => reaper::watch(child, &report),
            Err(error) => Err(Failure::setup("fork in", "the sandbox", error)),
        },
    }
}

fn prepare(socket: &OwnedFd, report: &OwnedFd) -> io::Result<Ground> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::fcntl_setfd(report, rustix::io::FdFlags::CLOEXEC)?;
    message::receive_ground(socket.as_fd())
}

/// Waits for the order, and takes the program's standard streams for its own. Ends the process if none comes.
fn take_order(socket: &OwnedFd, ground: &Ground) -> io::Result<ReceivedOrder> {
    if let Some(patience) = ground.patience
        && !is_readable_within(socket, patience)?
    {
        sys::process::exit_now(0);
    }
    let Some(OrderFiles { order, streams }) = message::receive_order(socket.as_fd())? else {
        sys::process::exit_now(0)
    };
    take_streams(streams)?;
    let mut order = File::from(order);
    let mut bytes = Vec::new();
    // The parent's writing left the shared position at the end.
    io::Seek::rewind(&mut order)?;
    order.read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

/// Makes these the standard streams.
pub(super) fn take_streams([stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<()> {
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    Ok(())
}

fn is_readable_within(socket: &OwnedFd, milliseconds: u32) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::from(milliseconds / 1000),
        tv_nsec: i64::from(milliseconds % 1000 * 1_000_000),
    };
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    // All signals are blocked, so nothing interrupts it.
    Ok(rustix::event::poll(&mut fds, Some(&timeout))? > 0)
}

fn set_up_machine(spec: &Spec) -> Result<(), Failure> {
    if !spec.hostname.is_empty() {
        rustix::system::sethostname(spec.hostname.as_bytes())
            .map_err(|error| Failure::setup("set the hostname", &*spec.hostname, error))?;
    }
    if spec.network == Network::None {
        sys::net::bring_loopback_up()
            .map_err(|error| Failure::setup("bring up", "the loopback interface", error))?;
    }
    Ok(())
}

/// Makes the working directory, pivots, and goes there while still root: the user may not be allowed to.
fn enter_workdir(spec: &Spec, world: &world::World, identity: &Identity) -> Result<OwnedFd, Failure> {
    let fail = |error| Failure::setup("enter the working directory", &*spec.workdir, error);
    let workdir = if spec.workdir.is_empty() { "/" } else { &spec.workdir };
    let place =
        place::open_or_make(&world.root, workdir, Kind::Folder, Some(identity.owner())).map_err(fail)?;
    world.enter(spec.readonly_rootfs)?;
    rustix::process::fchdir(&place.fd).map_err(fail)?;
    Ok(place.fd)
}
