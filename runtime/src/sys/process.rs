//! What a process with one thread does to itself.

use std::os::fd::{BorrowedFd, RawFd};

/// A file descriptor that this process was born with.
pub(crate) fn inherited(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the parent put it there before the exec, and nobody in this process owns or closes it.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
