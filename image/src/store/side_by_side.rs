//! Several layers at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `work` for each of `items`, as many at once as there are processors, and gives the results in their order.
///
/// The threads are not those of rayon. Whoever asks for a layer or its digest may hold a lock of the store while rayon
/// lists and hashes the layer's files. A thread of rayon that waits for that takes up other work; if that were to ask
/// for a layer as well, the thread would wait for itself.
///
/// # Errors
/// The first that `work` had; nothing more is begun then.
pub fn side_by_side<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Vec::with_capacity(items.len()), None));
    let lock = || done.lock().unwrap_or_else(PoisonError::into_inner);
    let worker = || {
        while lock().1.is_none() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            match work(item) {
                Ok(made) => lock().0.push((index, made)),
                Err(error) => drop(lock().1.get_or_insert(error)),
            }
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..processors.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    match done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        (_, Some(error)) => Err(error),
        (mut made, None) => {
            made.sort_unstable_by_key(|(index, _)| *index);
            Ok(made.into_iter().map(|(_, made)| made).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::side_by_side;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_the_work() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(side_by_side(&items, |item| Ok::<_, ()>(item * 2)), Ok((0..200).step_by(2).collect()));
        let begun = std::sync::atomic::AtomicU32::new(0);
        let failing = |_: &u32| {
            begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Err::<(), _>("no")
        };
        assert_eq!(side_by_side(&items, failing), Err("no"));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(begun.into_inner() as usize <= threads);
    }
}
