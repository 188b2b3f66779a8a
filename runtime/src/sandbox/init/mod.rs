//! The child's half: process 1 of a sandbox, from rbuild's exec to the program's.

use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use super::error::Failure;
use super::message::{self, News};
use super::spawn::{INIT_NAME, SOCKET_FD};

/// Returns at once, unless this process is the first one of a sandbox: then it never returns. Must be the first
/// line of `main`, before any thread exists.
#[expect(clippy::exit, reason = "the first process of a sandbox must not go on as rbuild")]
pub fn dispatch() {
    if std::env::args_os().next().is_none_or(|name| name.as_bytes() != INIT_NAME.as_bytes()) {
        return;
    }
    let socket = crate::sys::process::inherited(SOCKET_FD);
    let failure = run(socket);
    let _ = message::send(socket, &News::Failed(failure), None);
    std::process::exit(125)
}

fn run(_socket: BorrowedFd<'_>) -> Failure {
    Failure::Invalid("sandboxes cannot be built yet".to_owned())
}
