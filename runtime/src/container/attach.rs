//! The foreground life of a container: streams, terminal, signals, exit code, in one poll loop.
//!
//! A program without a terminal gets our pipes and sockets as they are, and pipes of its own in place of everything
//! else: a file or terminal that it could open again through `/proc/self/fd` with other rights is never handed over.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FileType;

use super::error::ContainerError;
use super::pump::{End, Flow};
use super::settings::RunSettings;
use crate::sandbox::{self, Child, Exit, Io, Spec, Stdio};
use crate::signals::Blocked;
use crate::tty::{self, RawMode};

/// What docker hands on to the program: everything that asks for something and can be caught.
const FORWARDED: [Signal; 10] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTERM,
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// After this time without events there is time for other work.
const QUIET: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The signals that are handed on; until this is dropped none of them ends us.
#[derive(Debug)]
pub(super) struct Signals(Blocked);

impl Signals {
    pub(super) fn block() -> Result<Self, ContainerError> {
        Blocked::new(&FORWARDED).map(Self).map_err(ContainerError::io("block", "signals"))
    }
}

/// A terminal with input needs one on our side.
pub(super) fn check_terminal(settings: &RunSettings) -> Result<(), ContainerError> {
    let is_terminal = rustix::termios::isatty(rustix::stdio::stdin());
    if settings.tty && settings.interactive && !is_terminal {
        return Err(ContainerError::NotATerminal);
    }
    Ok(())
}

/// Runs a sandbox that is no container in the foreground, with our own streams and, if it has a terminal, ours.
/// Returns the program's exit code, 128 + signal if a signal ended it. Belongs on a thread as [`super::run`] does.
///
/// # Errors
/// It cannot be started, or there is no terminal on our side where it has one.
pub fn foreground(spec: &Spec) -> Result<i32, ContainerError> {
    let settings = RunSettings { tty: spec.terminal.is_some(), interactive: true, ..RunSettings::default() };
    check_terminal(&settings)?;
    let signals = Signals::block()?;
    Foreground::start(spec, &settings)?.run(&signals, || ())
}

/// What the loop waits for.
#[derive(Debug, Clone, Copy)]
enum Event {
    Signal,
    Exit,
    Input,
    Output(usize),
}

/// A program that runs, and what flows between it and us.
#[derive(Debug)]
pub(super) struct Foreground {
    child: Child,
    input: Flow,
    outputs: Vec<Flow>,
    terminal: Option<OwnedFd>,
    _raw: Option<RawMode>,
}

impl Foreground {
    /// Starts the program. With a terminal, ours is raw from here on until this is dropped.
    pub(super) fn start(spec: &Spec, settings: &RunSettings) -> Result<Self, ContainerError> {
        if settings.tty {
            return Self::start_with_terminal(spec, settings);
        }
        let mut streams = Streams::default();
        let stdio = streams.open(settings).map_err(ContainerError::io("make", "the standard streams"))?;
        let child = sandbox::spawn(spec, stdio)?;
        Ok(Self { child, input: streams.input, outputs: streams.outputs, terminal: None, _raw: None })
    }

    fn start_with_terminal(spec: &Spec, settings: &RunSettings) -> Result<Self, ContainerError> {
        let fail = || ContainerError::io("set up", "the terminal");
        let stdin = rustix::stdio::stdin();
        let mut child = sandbox::spawn(spec, Stdio { stdin: Io::Null, stdout: Io::Null, stderr: Io::Null })?;
        let pty = child.take_pty().ok_or_else(|| fail()(io::Error::other("the sandbox sent none")))?;
        // Ours may have another size by now.
        resize(pty.as_fd());
        let copy = || pty.try_clone().map(End::Owned).map_err(fail());
        let output = Flow::new(copy()?, End::Stream(rustix::stdio::stdout()));
        let input =
            if settings.interactive { Flow::new(End::Stream(stdin), copy()?) } else { Flow::default() };
        let raw = if settings.interactive { Some(RawMode::enter(stdin).map_err(fail())?) } else { None };
        Ok(Self { child, input, outputs: vec![output], terminal: Some(pty), _raw: raw })
    }

    /// Process id of the container's process 1.
    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Stays until the program has ended and its output is delivered. `when_quiet` is called once, when nothing
    /// has happened for a second.
    pub(super) fn run(mut self, signals: &Signals, when_quiet: impl FnOnce()) -> Result<i32, ContainerError> {
        let fail = || ContainerError::io("wait for", "the program");
        let mut when_quiet = Some(when_quiet);
        let mut exit: Option<Exit> = None;
        loop {
            // Nobody is left then who could write more than what is in the pipes.
            let is_last_look = exit.is_some() && self.outputs.iter().all(Flow::is_empty);
            let patience = match (is_last_look, &when_quiet) {
                (true, _) => Some(&NO_TIME),
                (false, Some(_)) => Some(&QUIET),
                (false, None) => None,
            };
            let events = self.wait(signals, exit.is_some(), patience).map_err(fail())?;
            match exit {
                Some(exit) if is_last_look && events.is_empty() => return Ok(exit.code()),
                _ if events.is_empty() => {
                    if let Some(work) = when_quiet.take() {
                        work();
                    }
                }
                _ => {}
            }
            for event in events {
                match event {
                    Event::Signal => self.forward(signals).map_err(fail())?,
                    Event::Exit => {
                        exit = Some(self.child.wait().map_err(fail())?);
                        self.input.close();
                    }
                    Event::Input => self.input.advance(),
                    Event::Output(number) => self.outputs[number].advance(),
                }
            }
        }
    }

    fn wait(
        &self,
        signals: &Signals,
        has_ended: bool,
        patience: Option<&Timespec>,
    ) -> io::Result<Vec<Event>> {
        let mut awaited = vec![(Event::Signal, signals.0.as_fd(), PollFlags::IN)];
        if !has_ended {
            awaited.push((Event::Exit, self.child.pidfd(), PollFlags::IN));
        }
        awaited.extend(self.input.awaits().map(|(fd, flags)| (Event::Input, fd, flags)));
        for (number, flow) in self.outputs.iter().enumerate() {
            awaited.extend(flow.awaits().map(|(fd, flags)| (Event::Output(number), fd, flags)));
        }
        let mut fds: Vec<PollFd<'_>> =
            awaited.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        loop {
            match rustix::event::poll(&mut fds, patience) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let happened = |(event, fd): (Event, &PollFd<'_>)| (!fd.revents().is_empty()).then_some(event);
        Ok(awaited.iter().map(|(event, ..)| *event).zip(&fds).filter_map(happened).collect())
    }

    fn forward(&self, signals: &Signals) -> io::Result<()> {
        while let Some(signal) = signals.0.take()? {
            match &self.terminal {
                Some(pty) if signal == Signal::SIGWINCH as i32 => resize(pty.as_fd()),
                _ => self.child.signal(signal)?,
            }
        }
        Ok(())
    }
}

/// The streams of a program without a terminal.
#[derive(Debug, Default)]
struct Streams {
    input: Flow,
    outputs: Vec<Flow>,
}

impl Streams {
    fn open(&mut self, settings: &RunSettings) -> io::Result<Stdio> {
        let [stdin, stdout, stderr] =
            [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        let stdin = match (settings.interactive, is_harmless(stdin)) {
            (false, _) => Io::Null,
            (true, true) => Io::Inherit,
            (true, false) => {
                let (reader, writer) = io::pipe()?;
                self.input = Flow::new(End::Stream(stdin), End::Owned(writer.into()));
                Io::Fd(reader.into())
            }
        };
        // Through one pipe to one terminal, lines of both come in the order in which they were written.
        if is_same_terminal(stdout, stderr) {
            let writer = self.output(stdout)?;
            return Ok(Stdio { stdin, stdout: Io::Fd(writer.try_clone()?), stderr: Io::Fd(writer) });
        }
        let mut output = |stream| {
            if is_harmless(stream) { Ok(Io::Inherit) } else { self.output(stream).map(Io::Fd) }
        };
        Ok(Stdio { stdin, stdout: output(stdout)?, stderr: output(stderr)? })
    }

    fn output(&mut self, stream: BorrowedFd<'static>) -> io::Result<OwnedFd> {
        let (reader, writer) = io::pipe()?;
        self.outputs.push(Flow::new(End::Owned(reader.into()), End::Stream(stream)));
        Ok(writer.into())
    }
}

/// A pipe or socket gives the program nothing that it does not get through a pipe of ours.
fn is_harmless(stream: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(stream)
        .is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}

fn is_same_terminal(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    if !rustix::termios::isatty(one) || !rustix::termios::isatty(other) {
        return false;
    }
    let device = |stream| rustix::fs::fstat(stream).map(|stat| stat.st_rdev);
    matches!((device(one), device(other)), (Ok(one), Ok(other)) if one == other)
}

/// Gives the program's terminal the size of ours.
fn resize(pty: BorrowedFd<'_>) {
    // A terminal of another size is still one.
    let _ = tty::set_window_size(pty, tty::our_window_size());
}
