//! Ctrl-C, SIGTERM and SIGHUP in a build: the first ends it in good order, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rbuild_builder::Cancel;
use rbuild_runtime::signals::{self, Interrupts, Signal};

use crate::exit::{Exit, Failure};

/// A build's ear for signals. When it goes, signals have their usual effect again.
#[derive(Debug)]
pub(super) struct Interrupt {
    cancel: Cancel,
    /// Number of the first signal; 0 before there is one.
    first: Arc<AtomicI32>,
    _interrupts: Interrupts,
}

impl Interrupt {
    /// To be called before there are threads.
    pub(super) fn listen() -> Result<Self, Failure> {
        let (cancel, first) = (Cancel::new(), Arc::new(AtomicI32::new(0)));
        let (theirs, seen) = (cancel.clone(), Arc::clone(&first));
        let interrupts = signals::interrupts(move |signal| {
            if seen.compare_exchange(0, signal as i32, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                end(signal);
            }
            theirs.cancel();
        })?;
        Ok(Self { cancel, first, _interrupts: interrupts })
    }

    /// What ends the build.
    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The exit code of a build that a signal ended.
    pub(super) fn exit(&self) -> Exit {
        Exit::signal(self.first.load(Ordering::SeqCst))
    }
}

/// The kernel ends what runs in sandboxes with us; temporary files are for the next command to sweep.
#[expect(clippy::exit, reason = "whoever asks twice does not want to wait for anything")]
fn end(signal: Signal) {
    std::process::exit(128 + signal as i32);
}
