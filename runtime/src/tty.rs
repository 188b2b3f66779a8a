//! The terminal at our end: raw mode, and its size.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::termios::{OptionalActions, Termios, Winsize};
use serde::{Deserialize, Serialize};

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// A terminal in raw mode: every key goes to the program, none is interpreted here. Dropping it brings the old mode
/// back, and so does a panic, even where panics end the process without dropping anything. There is one at a time.
#[derive(Debug)]
pub struct RawMode(());

/// The terminal that is raw, and its mode before.
static RAW: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

fn restore() {
    if let Some((terminal, before)) = RAW.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that is gone needs no mode.
        let _ = rustix::termios::tcsetattr(&terminal, OptionalActions::Flush, &before);
    }
}

/// A panic is reported on a terminal that is usable again.
fn restore_in_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
    });
}

impl RawMode {
    /// Puts a terminal into raw mode.
    ///
    /// # Errors
    /// It is no terminal, or the kernel refused.
    pub fn enter(terminal: impl AsFd) -> io::Result<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let before = rustix::termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        restore_in_panics();
        rustix::termios::tcsetattr(&terminal, OptionalActions::Flush, &raw)?;
        *RAW.lock().unwrap_or_else(PoisonError::into_inner) = Some((terminal, before));
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// The size of a terminal.
///
/// # Errors
/// It is no terminal.
pub fn window_size(terminal: impl AsFd) -> io::Result<WindowSize> {
    let size = rustix::termios::tcgetwinsize(terminal)?;
    Ok(WindowSize { rows: size.ws_row, columns: size.ws_col })
}

/// The size of that of our standard streams which is a terminal; zero, which means unknown, if none is.
pub fn our_window_size() -> WindowSize {
    let ours = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    ours.into_iter().find_map(|stream| window_size(stream).ok()).unwrap_or_default()
}

/// Changes the size of a pty; its programs get SIGWINCH.
///
/// # Errors
/// It is no terminal.
pub fn set_window_size(terminal: impl AsFd, size: WindowSize) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Changes of our terminal's size (SIGWINCH), as a file descriptor for poll loops.
#[derive(Debug)]
pub struct WindowChanges(SignalFd);

impl WindowChanges {
    /// Starts to listen. To be called before other threads exist: the signal is blocked in this thread and in those
    /// that it starts, and one that does not block it would swallow it.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn listen() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGWINCH);
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Whether the size has changed since the last call.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn take(&self) -> io::Result<bool> {
        let mut changed = false;
        while self.0.read_signal()?.is_some() {
            changed = true;
        }
        Ok(changed)
    }
}

impl AsFd for WindowChanges {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::termios::LocalModes;

    #[test]
    fn raw_mode_ends_with_its_guard_and_in_the_panic_hook() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let is_canonical =
            || rustix::termios::tcgetattr(&pty.slave).unwrap().local_modes.contains(LocalModes::ICANON);
        let caught = std::panic::catch_unwind(|| {
            // Never dropped: the release build's panics drop nothing.
            std::mem::forget(RawMode::enter(&pty.slave).unwrap());
            assert!(!is_canonical());
            panic!("the guard has to work in a panic too");
        });
        assert!(caught.is_err());
        assert!(is_canonical());
        let raw = RawMode::enter(&pty.slave).unwrap();
        assert!(!is_canonical());
        drop(raw);
        assert!(is_canonical());
    }

    #[test]
    fn sizes_reach_the_other_end() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let size = WindowSize { rows: 24, columns: 80 };
        set_window_size(&pty.master, size).unwrap();
        assert_eq!(window_size(&pty.slave).unwrap(), size);
        assert!(RawMode::enter(std::fs::File::open("/dev/null").unwrap()).is_err());
    }

    #[test]
    fn window_changes_are_counted_once() {
        let changes = WindowChanges::listen().unwrap();
        assert!(!changes.take().unwrap());
        nix::sys::signal::raise(Signal::SIGWINCH).unwrap();
        assert!(changes.take().unwrap());
        assert!(!changes.take().unwrap());
    }
}
