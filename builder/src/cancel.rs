//! Ending a build early: because a step failed, or because the user asked for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often is looked whether another process is done with something.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Shared between a build and whoever may end it. Clones are the same token.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Inner>);

/// Ends one thing that runs.
type End = Box<dyn Fn() + Send>;

#[derive(Default)]
struct Inner {
    requested: AtomicBool,
    next: AtomicU64,
    running: Mutex<Vec<(u64, End)>>,
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancel").field("requested", &self.requested()).finish_non_exhaustive()
    }
}

impl Cancel {
    /// A token that nobody has used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends everything that runs under this token, now and later.
    pub fn cancel(&self) {
        self.0.requested.store(true, Ordering::SeqCst);
        for (_, end) in self.0.running.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            end();
        }
    }

    /// True once somebody asked for the end.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Asks again and again until there is an answer; None if the token was used before. Nothing can end the kernel's
    /// own waiting for a lock.
    pub(crate) fn wait_for<T, E>(&self, ask: impl Fn() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
        while !self.requested() {
            if let Some(answer) = ask()? {
                return Ok(Some(answer));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(None)
    }

    /// Calls `end` when the token is used, for as long as the guard lives. Called at once if it already was.
    pub(crate) fn on_cancel(&self, end: impl Fn() + Send + 'static) -> Guard<'_> {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if self.requested() {
            end();
        }
        running.push((id, Box::new(end)));
        Guard { cancel: self, id }
    }
}

/// Ends a registration with [`Cancel::on_cancel`].
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    cancel: &'a Cancel,
    id: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mut running = self.cancel.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Cancel;

    #[test]
    fn ends_what_runs_and_what_comes_too_late_but_not_what_has_ended() {
        let ended = Arc::new(AtomicUsize::new(0));
        let count = || {
            let ended = Arc::clone(&ended);
            move || {
                ended.fetch_add(1, Ordering::SeqCst);
            }
        };
        let cancel = Cancel::new();
        drop(cancel.on_cancel(count()));
        let _running = cancel.on_cancel(count());
        cancel.clone().cancel();
        assert_eq!(ended.load(Ordering::SeqCst), 1);
        let _late = cancel.on_cancel(count());
        assert_eq!(ended.load(Ordering::SeqCst), 2);
    }
}
