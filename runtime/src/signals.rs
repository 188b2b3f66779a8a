//! Signals as events: blocked, and read from a descriptor where it suits.
//!
//! No handler runs anywhere, so nothing is restricted in what follows from a signal. The price is that signals must
//! be blocked in every thread: whoever uses this does so before there are other threads, which inherit it. What
//! [`crate::sandbox`] starts gets an empty mask; for other programs there is [`unblocked`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::JoinHandle;

pub use nix::sys::signal::Signal;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};

/// What asks a program to end.
const INTERRUPTS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Signals that are blocked in this thread and can be read here.
#[derive(Debug)]
pub(crate) struct Blocked {
    fd: SignalFd,
    before: SigSet,
}

impl Blocked {
    pub(crate) fn new(signals: &[Signal]) -> io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd, before })
    }

    /// The next signal's number, if one has come.
    pub(crate) fn take(&self) -> io::Result<Option<i32>> {
        let next = self.fd.read_signal()?;
        Ok(next.and_then(|info| i32::try_from(info.ssi_signo).ok()))
    }
}

impl AsFd for Blocked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // What came too late to be read must not end the process in place of what it was meant for.
        while let Ok(Some(_)) = self.take() {}
        let _ = self.before.thread_set_mask();
    }
}

/// Calls a function for each signal that asks the process to end, as long as this lives. Afterwards signals have
/// their usual effect again in the thread that drops it, which should be the one that made it.
#[derive(Debug)]
pub struct Interrupts {
    stop: Option<io::PipeWriter>,
    thread: Option<JoinHandle<()>>,
    _blocked: std::sync::Arc<Blocked>,
}

/// SIGINT, SIGTERM and SIGHUP become calls of `on_signal`, on a thread of its own, in place of ending the process.
///
/// Has to be called before other threads exist: a thread that does not block these signals would still be ended by
/// them, and the process with it.
///
/// # Errors
/// The kernel refused a descriptor or a thread.
pub fn interrupts(on_signal: impl FnMut(Signal) + Send + 'static) -> io::Result<Interrupts> {
    let blocked = std::sync::Arc::new(Blocked::new(&INTERRUPTS)?);
    let (stopped, stop) = io::pipe()?;
    let theirs = std::sync::Arc::clone(&blocked);
    let thread = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || watch(&theirs, &stopped, on_signal))?;
    Ok(Interrupts { stop: Some(stop), thread: Some(thread), _blocked: blocked })
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // The thread sees the end of the pipe.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the callback has been reported already.
            let _ = thread.join();
        }
    }
}

fn watch(blocked: &Blocked, stopped: &io::PipeReader, mut on_signal: impl FnMut(Signal)) {
    loop {
        let mut fds = [PollFd::new(blocked, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        while let Ok(Some(number)) = blocked.take() {
            if let Ok(signal) = Signal::try_from(number) {
                on_signal(signal);
            }
        }
        if !fds[1].revents().is_empty() {
            return;
        }
    }
}

/// Runs `work` on a thread that signals do not reach, and neither the threads that it starts. They have their usual
/// effect meanwhile: on the thread that calls. This is for work before [`crate::container::run`], which must get
/// every signal, that may leave a pool of threads behind.
///
/// # Errors
/// The kernel refused a thread.
pub fn shielded<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("shielded".to_owned()).spawn_scoped(scope, || {
            SigSet::all().thread_block()?;
            Ok(work())
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `start`, which starts a program, while this thread blocks no signal: programs inherit what is blocked, and one
/// that blocks SIGTERM cannot be asked to end. A signal that comes in this moment has its usual effect on us.
///
/// # Errors
/// The kernel refused.
pub fn unblocked<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    let before = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = start();
    before.thread_set_mask()?;
    Ok(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_shielded_work_hold_signals_back() {
        let blocked = || SigSet::thread_get_mask().unwrap().contains(Signal::SIGUSR1);
        let before = blocked();
        let inside = shielded(|| std::thread::spawn(blocked).join().unwrap()).unwrap();
        assert!(inside);
        assert_eq!(blocked(), before);
    }

    #[test]
    fn what_was_not_read_has_no_effect() {
        let blocked = Blocked::new(&[Signal::SIGUSR1, Signal::SIGUSR2]).unwrap();
        assert_eq!(blocked.take().unwrap(), None);
        nix::sys::signal::raise(Signal::SIGUSR1).unwrap();
        assert_eq!(blocked.take().unwrap(), Some(Signal::SIGUSR1 as i32));
        nix::sys::signal::raise(Signal::SIGUSR2).unwrap();
        // Ends the test run if the signal gets through.
        drop(blocked);
    }
}
