//! The program's terminal: a pty of the sandbox's own devpts, whose master goes to the parent.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{devices, mount, place};
use crate::sandbox::error::Failure;
use crate::sys;
use crate::tty::{self, WindowSize};

/// Both ends of a pty.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) master: OwnedFd,
    slave: OwnedFd,
}

impl Terminal {
    /// Makes a pty in the rootfs's `/dev/pts`, of this size, and puts it at `/dev/console`.
    pub(super) fn open(root: &OwnedFd, size: WindowSize) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| Failure::setup("open", "a terminal", error);
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let master = rustix::fs::openat2(root, "dev/pts/ptmx", flags, Mode::empty(), resolve)
            .map_err(|error| fail(error.into()))?;
        sys::pty::unlock(master.as_fd()).map_err(fail)?;
        let slave = sys::pty::open_peer(master.as_fd()).map_err(fail)?;
        tty::set_window_size(&slave, size).map_err(fail)?;
        let dev = place::open(root, "/dev", OFlags::PATH).map_err(|error| fail(error.into()))?;
        let number = sys::pty::number(master.as_fd()).map_err(fail)?;
        let node = place::open(root, &format!("/dev/pts/{number}"), OFlags::PATH)
            .map_err(|error| fail(error.into()))?;
        let copy = mount::copy_of(node.as_fd()).map_err(|error| fail(error.into()))?;
        devices::attach_on_new_file(&dev, "console", &copy).map_err(|error| fail(error.into()))?;
        Ok(Self { master, slave })
    }

    /// Makes it this session's terminal and the three standard streams.
    pub(super) fn take_over(&self) -> Result<(), Failure> {
        let fail = |error: rustix::io::Errno| Failure::setup("take over", "the terminal", error);
        rustix::process::ioctl_tiocsctty(&self.slave).map_err(fail)?;
        rustix::stdio::dup2_stdin(&self.slave).map_err(fail)?;
        rustix::stdio::dup2_stdout(&self.slave).map_err(fail)?;
        rustix::stdio::dup2_stderr(&self.slave).map_err(fail)
    }
}
