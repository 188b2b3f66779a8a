//! One process in isolation.
//!
//! The way of a sandbox: [`Standby`] clones into new namespaces, straight into an exec of rbuild itself; there
//! [`dispatch`], the first line of `main`, finds that it is the sandbox's first process and hands over to `init`, which
//! makes what is the same for all and waits for its order. `spawn` writes the [`Spec`] into a sealed memfd and sends it
//! through a seqpacket socket, together with the program's standard streams. `init` then builds the world (mounts,
//! devices, user, capabilities, system call filter) and executes the program. The socket carries news to the parent: what
//! was made and has to be removed afterwards, the terminal, or the [`SpawnError`]. Its end, by close-on-exec, means that
//! the program runs.
//!
//! - `spec`: what to run, plain data.
//! - `standby`, `spawn`, `executable`, `stdio`: the parent's half.
//! - `limits`: what a restricted program may do at most.
//! - `message`: what travels over the socket.
//! - `init`: the child's half.
//! - `child`, `stubs`: waiting for the end, and tidying up after it.
//!
//! Invariants: nobody but process 1 of the sandbox ever has the sandbox's mounts, so there is nothing to unmount;
//! when [`Child::wait`] returns, every process of the sandbox is gone.

mod child;
mod error;
mod executable;
mod init;
mod limits;
mod message;
mod spawn;
mod spec;
mod standby;
mod stdio;
mod stubs;

pub use child::{Child, Exit};
pub use error::SpawnError;
pub use init::dispatch;
pub use spawn::{spawn, spawn_in};
pub use spec::*;
pub use standby::{Kind, Standby};
pub use stdio::{Io, Stdio};
