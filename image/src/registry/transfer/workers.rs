//! Several things at once, by threads: what waits for the network needs no core.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::super::error::RegistryError;
use super::super::retry::Retry;

/// Runs `work` for every item, at most `parallel` at once, in their order. After the first failure the others are told
/// to stop. Returns what was made, and the failure that came first.
pub(super) fn run<T: Sync, R: Send>(
    items: &[T],
    parallel: usize,
    retry: &Retry<'_>,
    work: impl Fn(&T) -> Result<R, RegistryError> + Sync,
) -> (Vec<R>, Option<RegistryError>) {
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Vec::new(), None));
    let worker = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = retry.check().and_then(|()| work(item));
            let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match result {
                Ok(made) => done.0.push(made),
                Err(error) => {
                    retry.cancel();
                    if done.1.is_none() {
                        done.1 = Some(error);
                    }
                    return;
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..parallel.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
