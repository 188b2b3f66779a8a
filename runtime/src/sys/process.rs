//! What a process with one thread does to itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid};

/// A file descriptor that this process was born with. To be called once for each.
pub(crate) fn inherited(fd: RawFd) -> OwnedFd {
    // SAFETY: the parent put it there before the exec, and nothing else in this process owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Forks; None in the child. Only for processes with one thread.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the first process of a sandbox has one thread, so the child may do everything.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => Ok(None),
        ForkResult::Parent { child } => Ok(Some(child)),
    }
}

/// Default dispositions for all signals, and none blocked, as a program expects it.
pub(crate) fn default_signals() {
    // All zeros are SIG_DFL in every architecture's layout, which is never longer than this. The C library's own
    // function would not touch the two signals that it keeps for itself.
    const DEFAULT: [u64; 4] = [0; 4];
    const MASK_SIZE: usize = 8;
    for signal in 1..=libc::SIGRTMAX() {
        let none: *const u64 = std::ptr::null();
        // SAFETY: the default disposition runs no code of ours, and the action lives for the call. SIGKILL and
        // SIGSTOP cannot be changed, which is refused and right.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), none, MASK_SIZE) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// Closes every file descriptor but this one, which gets another number.
pub(crate) fn close_all_but(kept: &OwnedFd) -> OwnedFd {
    // SAFETY: takes numbers only.
    unsafe { libc::dup2(kept.as_raw_fd(), 0) };
    // SAFETY: only for a process that uses no other file any more and leaves by `exit_now`.
    unsafe { libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0) };
    inherited(0)
}

/// Ends the process without running destructors.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(code) }
}

/// Moves this process into new namespaces. Only for processes with one thread.
pub(crate) fn unshare(namespaces: rustix::thread::UnshareFlags) -> io::Result<()> {
    // SAFETY: the danger is in CLONE_FILES, which is not asked for: file descriptors stay as they are.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}
