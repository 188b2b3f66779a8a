//! The steps of process 1, in order.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::Mode;
use rustix::process::Signal;

use super::identity::Identity;
use super::place::{self, Kind};
use super::program::Program;
use super::terminal::Terminal;
use super::{reaper, world};
use crate::sandbox::error::Failure;
use crate::sandbox::message::{self, News, ReceivedOrder};
use crate::sandbox::spawn::{INIT_NAME, ORDER_FD, REPORT_FD, SOCKET_FD};
use crate::sandbox::spec::{Init, Network, Privilege, Spec};
use crate::ulimit::Ulimit;
use crate::{limits, sys};

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
    let report = sys::process::inherited(REPORT_FD);
    let order = prepare(socket, &report).map_err(|error| Failure::setup("prepare", "the sandbox", error))?;
    let spec = &order.spec;
    // What is made in the rootfs gets exactly the permissions that are asked for.
    rustix::process::umask(Mode::empty());
    set_up_machine(spec)?;
    let world = world::build(&order)?;
    let identity = Identity::of(&order, &world.root)?;
    enter_workdir(spec, &world, &identity)?;
    let terminal = spec.terminal.map(|size| Terminal::open(&world.root, size)).transpose()?;
    let program = Program::new(spec, identity.home());
    let pty = terminal.as_ref().map(|terminal| terminal.master.as_fd());
    message::send(socket.as_fd(), &News::Ready { stubs: world.stubs }, pty)
        .map_err(|error| Failure::setup("report to", "rbuild", error))?;
    drop(world.root);

    let become_program = |terminal: Option<&Terminal>| -> Result<Infallible, Failure> {
        start_session(terminal)?;
        if let Some(soft) = order.open_files {
            limits::set_open_files(soft);
        }
        spec.ulimits.iter().for_each(Ulimit::set);
        identity.assume(socket.as_fd())?;
        program.execute()
    };
    match spec.init {
        Init::Program => become_program(terminal.as_ref()),
        Init::Reaper => match sys::process::fork() {
            Ok(None) => become_program(terminal.as_ref()),
            Ok(Some(child)) => reaper::watch(child, &report),
            Err(error) => Err(Failure::setup("fork in", "the sandbox", error)),
        },
    }
}

fn prepare(socket: &OwnedFd, report: &OwnedFd) -> io::Result<ReceivedOrder> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::fcntl_setfd(report, rustix::io::FdFlags::CLOEXEC)?;
    let mut bytes = Vec::new();
    let mut order = File::from(sys::process::inherited(ORDER_FD));
    // The parent's writing left the shared position at the end.
    io::Seek::rewind(&mut order)?;
    order.read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
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
fn enter_workdir(spec: &Spec, world: &world::World, identity: &Identity) -> Result<(), Failure> {
    let fail = |error| Failure::setup("enter the working directory", &*spec.workdir, error);
    let workdir = if spec.workdir.is_empty() { "/" } else { &spec.workdir };
    let place =
        place::open_or_make(&world.root, workdir, Kind::Folder, Some(identity.owner())).map_err(fail)?;
    world.enter(spec.readonly_rootfs)?;
    rustix::process::fchdir(&place.fd).map_err(fail)
}

fn start_session(terminal: Option<&Terminal>) -> Result<(), Failure> {
    rustix::process::setsid().map_err(|error| Failure::setup("start", "a session", error))?;
    if let Some(terminal) = terminal {
        terminal.take_over()?;
    }
    Ok(())
}

/// Whether the spec asks for Docker's restrictions.
pub(super) fn is_restricted(spec: &Spec) -> bool {
    spec.privilege != Privilege::All
}
