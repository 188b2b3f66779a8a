//! The only place with `unsafe`: system calls that neither rustix nor nix offers safely.
//!
//! - `launch`: clone into new namespaces and exec.
//! - `process`: fork, exec, signals, of a process with one thread.
//! - `mount`: `mount_setattr`.
//! - `filter`: installing a seccomp filter; `notify`: one whose calls somebody else answers.
//! - `net`: bringing the loopback interface up.
//! - `pty`: the ioctls of a pseudo terminal.
#![allow(unsafe_code, reason = "this module is where it is allowed")]

pub(crate) mod filter;
pub(crate) mod launch;
pub(crate) mod mount;
pub(crate) mod net;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod pty;
