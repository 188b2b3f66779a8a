//! Many users where the kernel knows one: for a user namespace into which a single id is mapped.
//!
//! A process of such a sandbox is root and can be nobody else, and its files cannot be given to anybody. Yet `apt-get`
//! changes to a user of its own, `chown` is in every other Dockerfile, and what `USER` makes belongs to that user. So a
//! seccomp filter hands the calls that are about owners and ids to a thread of rbuild, which answers them as the
//! kernel would have: `chown` leaves a note on the file, `stat` reads it, `setuid` changes who the process says it is, and
//! what such a process makes gets a note at once. Everything else is the kernel's.
//!
//! - `calls`: which calls these are, and the filter.
//! - `people`: who is who, and the rules by which one becomes another.
//! - `target`: the process that asks: its memory, its paths, and the badge that says who it is.
//! - `files`: owners of files.
//! - `server`: the answers.
//!
//! This is no boundary: a process that reaches around it is still confined by its namespace. What stays different is
//! what the kernel decides by the real id: permissions of other users are not enforced, and 32-bit programs are not
//! asked. Who changes ids between `vfork` and exec changes those of its parent too, with whom it has the badge in common.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "arguments of system calls arrive as 64 bits, of which the kernel looks at 32 as it needs them"
)]

mod calls;
mod files;
mod people;
mod server;
mod target;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc;
use std::thread::JoinHandle;

pub(crate) use calls::filter;
pub(crate) use people::{Ids, Person};

use people::{Badge, People};
use rbuild_image::layer::{Owner, Owners};
use server::Server;
use target::{Eyes, Target};

/// Notes whose an open file or folder is, for one that is made before anybody answers.
pub(crate) fn give(made: BorrowedFd<'_>, uid: u32, gid: u32) -> rustix::io::Result<()> {
    Owners::Notes.give(made, Owner { uid, gid })
}

/// The badge that processes wear where nobody chose another one.
const USUAL: Badge = Badge(0x33);

/// A thread that answers for one sandbox, until no process of it is left.
#[derive(Debug)]
pub(crate) struct Pretender(Option<JoinHandle<()>>);

impl Pretender {
    /// Starts answering what arrives at `listener`, as long as the process behind `pidfd` lives, the sandbox's process 1.
    /// All processes are `person` at first.
    ///
    /// # Errors
    /// There can be no thread, or none with a root directory of its own.
    pub(crate) fn start(listener: OwnedFd, pidfd: OwnedFd, person: Person) -> io::Result<Self> {
        let (sender, started) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("ids".into()).spawn(move || {
            let prepared = Eyes::open().map(|eyes| {
                // The sandbox's first process has inherited ours.
                let first =
                    Target { thread: rustix::process::getpid().as_raw_nonzero().get().unsigned_abs() };
                (eyes, first.badge().unwrap_or(USUAL))
            });
            match prepared {
                Ok((eyes, first)) => {
                    let _ = sender.send(Ok(()));
                    Server::new(listener, pidfd, eyes, People::new(first, person)).serve();
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                }
            }
        })?;
        started.recv().map_err(io::Error::other)??;
        Ok(Self(Some(thread)))
    }

    /// Waits until the last process is gone, and with it this thread's hold on the sandbox's files.
    pub(crate) fn end(&mut self) {
        if let Some(thread) = self.0.take() {
            // It would have panicked, which has been printed.
            let _ = thread.join();
        }
    }
}
