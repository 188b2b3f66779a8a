//! Isolated processes, without a daemon and without helper programs.
//!
//! A process starts by re-executing rbuild itself: the parent puts a [`sandbox::Spec`] into a sealed memfd and
//! clones straight into new namespaces, where nothing happens before the exec. The fresh, single-threaded process
//! that comes out of it builds the world that the spec describes and then becomes (or watches over) the program.
//!
//! Rooms:
//! - [`sandbox`]: one process in isolation; knows file descriptors and plain data, no images.
//! - [`container`]: an image with a life: the room that knows images.
//! - [`users`]: who a user name is, by the bytes of a rootfs's passwd and group files.
//! - [`caps`], `seccomp`: what a process may do.
//! - [`limits`]: open files, ours and those of programs; [`ulimit`]: limits that somebody asked for.
//! - [`signals`]: signals as events, for whoever has to end in good order.
//! - [`tty`]: the terminal at our end and the pty of a container.
//! - [`rootless`]: becoming root of a user namespace, and what this machine allows.
//! - `pretend`: many users where a user namespace has one id; knows how the owners of an image's files are noted.
//! - [`emulation`]: whether programs for other architectures run here.
//! - `sys`: the few system calls that no crate offers safely.
//!
//! Invariants: `unsafe` is only in `sys`; between clone and exec only async-signal-safe system calls; whatever
//! fails in a sandbox arrives in the parent as a typed [`sandbox::SpawnError`]; a sandbox never outlives the
//! thread that started it.

pub mod caps;
pub mod container;
pub mod emulation;
pub mod limits;
mod pretend;
pub mod rootless;
pub mod sandbox;
mod seccomp;
pub mod signals;
mod sys;
pub mod tty;
pub mod ulimit;
pub mod users;
