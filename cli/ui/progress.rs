//! The view of a build's events that `--progress` asks for.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rbuild_builder::event::{Event, Observer};

use super::json::Json;
use super::plain::Plain;
use super::print::to_stderr;
use super::tty::Tty;
use super::{Report, Style};
use crate::settings::ProgressMode;

/// Shows events, and the error that may end a build.
pub(crate) trait Progress: Observer {
    /// The last word about a build that failed; a live view has left the terminal when it returns.
    fn failed(&self, report: &Report);

    /// The last word about a build that worked.
    fn finished(&self);
}

/// The view of that name, on standard error. `log_limit` is how many bytes of a step's output lines may show.
pub(crate) fn progress(mode: ProgressMode, log_limit: Option<u64>, style: Style) -> Box<dyn Progress> {
    match mode {
        ProgressMode::Tty => Box::new(Tty::new(style)),
        ProgressMode::Plain => Box::new(Plain::new(io::stderr(), log_limit, style)),
        ProgressMode::Json => Box::new(Json::new(io::stderr())),
        ProgressMode::Quiet => Box::new(Quiet(style)),
    }
}

/// Locks; what a panicking thread left behind is still good enough to be shown.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says nothing unless the build fails.
#[derive(Debug)]
struct Quiet(Style);

impl Observer for Quiet {
    fn on(&self, _event: Event<'_>) {}
}

impl Progress for Quiet {
    fn failed(&self, report: &Report) {
        to_stderr(report.text(self.0).as_bytes());
    }

    fn finished(&self) {}
}
