//! Process 1 beside the program: forwards signals, reaps orphans, ends everything when the program ends.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::caps::{self, CapSet};
use crate::sandbox::error::Failure;
use crate::sys;

/// Watches over `program` until it ends, then ends every other process of the sandbox, says in `report` how the program
/// ended (128 + signal when a signal ended it), and exits with that.
pub(super) fn watch(program: Pid, report: &OwnedFd) -> Result<Infallible, Failure> {
    // The order with its secrets is in this memory, and the program must not read it or trace us.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)
        .map_err(|error| Failure::setup("block", "signals", error))?;
    // The program's streams and our socket end with the program, not with us.
    let report = sys::process::close_all_but(report);
    let _ = rustix::process::chdir("/");
    // All that is left to do is sending signals to processes of any user.
    let _ = caps::set_exactly(CapSet::of("KILL"));
    loop {
        match SigSet::all().wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(program) {
                    if end_everything() {
                        // Whoever listens goes on now, while the kernel takes the sandbox apart.
                        let _ = rustix::io::write(&report, &code.to_ne_bytes());
                    }
                    sys::process::exit_now(code);
                }
            }
            Ok(signal) => {
                // It may have ended just now.
                let _ = kill(program, signal);
            }
            // Real-time signals have no names here.
            Err(_) => {}
        }
    }
}

/// Kills all others, and returns true when they are gone. Without a namespace of our own, others are not ours to kill.
fn end_everything() -> bool {
    if !rustix::process::getpid().is_init() {
        return false;
    }
    // All that there is to signal are the processes of our namespace, ourselves left out.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    // A child whose status nix cannot read is an error, too.
    while waitpid(None, None) != Err(nix::Error::ECHILD) {}
    true
}

/// Takes all that have ended; Some when the program is among them.
fn reap(program: Pid) -> Option<i32> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => return Some(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => return Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) => return None,
            Err(nix::Error::ECHILD) => return Some(125),
            // A child that a real-time signal ended has a status that nix cannot read.
            Ok(_) | Err(_) => {}
        }
    }
}
