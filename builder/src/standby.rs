//! Sandboxes for steps to come: a third of a small step's time is making its sandbox, which is done while the program of
//! the step before runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rbuild_runtime::sandbox::{Kind, Spec, Standby};

use crate::tidy::Tidier;

/// Sandboxes that wait for programs. They end with the tidier's thread, which launches them.
#[derive(Debug, Default)]
pub(crate) struct Standbys(Arc<Mutex<Vec<Standby>>>);

impl Standbys {
    /// Has a sandbox launched for the next program, which will probably be of this one's kind. If that fails, the next
    /// step makes its own, and says why it cannot.
    pub(crate) fn launch(&self, like: &Spec, by: &Tidier) {
        let (kind, ready) = (Kind::of(like), Arc::clone(&self.0));
        by.run(move || {
            if let Ok(standby) = Standby::launch(kind) {
                lock(&ready).push(standby);
            }
        });
    }

    /// A sandbox that waits, the youngest.
    pub(crate) fn take(&self) -> Option<Standby> {
        lock(&self.0).pop()
    }
}

fn lock(ready: &Mutex<Vec<Standby>>) -> MutexGuard<'_, Vec<Standby>> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}
