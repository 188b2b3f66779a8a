//! Runs the steps of a plan: each as soon as all that it depends on is done, several at a time.
//!
//! The calling thread works too, and another thread is started only when there is something for it to do:
//! a build whose steps form a chain, or come from the cache, starts none.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

/// Runs `work` for every index of `dependencies`, after all those that it lists. At most `bound` calls go on
/// at once. After the first error no further step is started, `on_error` is called once (it may end those
/// that still run), and the error is returned when all calls have come back.
pub(crate) fn run<E: Send>(
    dependencies: &[Vec<usize>],
    bound: usize,
    work: impl Fn(usize) -> Result<(), E> + Sync,
    on_error: impl Fn(&E) + Sync,
) -> Result<(), E> {
    let pool = Pool {
        state: Mutex::new(State::new(dependencies)),
        changed: Condvar::new(),
        dependents: dependents(dependencies),
        bound: bound.max(1),
        work,
        on_error,
    };
    std::thread::scope(|scope| pool.work(scope));
    match pool.state.into_inner().unwrap_or_else(PoisonError::into_inner).error {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Pool<E, W, C> {
    state: Mutex<State<E>>,
    changed: Condvar,
    dependents: Vec<Vec<usize>>,
    bound: usize,
    work: W,
    on_error: C,
}

struct State<E> {
    /// Lowest index first: the order of the Dockerfile.
    ready: BTreeSet<usize>,
    /// For each step, how many of its dependencies are not done.
    waiting_for: Vec<usize>,
    unfinished: usize,
    workers: usize,
    idle: usize,
    error: Option<E>,
}

impl<E> State<E> {
    fn new(dependencies: &[Vec<usize>]) -> Self {
        let waiting_for: Vec<usize> = dependencies.iter().map(Vec::len).collect();
        let ready = (0..waiting_for.len()).filter(|&step| waiting_for[step] == 0).collect();
        Self { ready, unfinished: waiting_for.len(), waiting_for, workers: 1, idle: 0, error: None }
    }
}

fn dependents(dependencies: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut out = vec![Vec::new(); dependencies.len()];
    for (step, needs) in dependencies.iter().enumerate() {
        for &need in needs {
            out[need].push(step);
        }
    }
    out
}

impl<E: Send, W: Fn(usize) -> Result<(), E> + Sync, C: Fn(&E) + Sync> Pool<E, W, C> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>) {
        let mut state = self.lock();
        while state.error.is_none() && state.unfinished > 0 {
            let Some(step) = state.ready.pop_first() else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            self.share(&mut state, scope);
            drop(state);
            let result = (self.work)(step);
            state = self.lock();
            self.finish(&mut state, step, result);
        }
        state.workers -= 1;
    }

    /// Lets somebody else take what is ready beyond the step that this thread is about to run.
    fn share<'scope, 'env>(&'env self, state: &mut State<E>, scope: &'scope Scope<'scope, 'env>) {
        let spare = state.ready.len();
        if spare > state.idle {
            for _ in 0..(spare - state.idle).min(self.bound - state.workers) {
                state.workers += 1;
                scope.spawn(|| self.work(scope));
            }
        }
        if state.idle > 0 && spare > 0 {
            self.changed.notify_all();
        }
    }

    fn finish(&self, state: &mut State<E>, step: usize, result: Result<(), E>) {
        state.unfinished -= 1;
        match result {
            Ok(()) => {
                for &dependent in &self.dependents[step] {
                    state.waiting_for[dependent] -= 1;
                    if state.waiting_for[dependent] == 0 {
                        state.ready.insert(dependent);
                    }
                }
            }
            Err(error) if state.error.is_none() => {
                (self.on_error)(&error);
                state.error = Some(error);
            }
            Err(_) => {}
        }
        if state.unfinished == 0 || state.error.is_some() {
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::run;

    #[test]
    fn every_step_runs_after_what_it_needs() {
        let dependencies = vec![vec![], vec![0], vec![0], vec![1, 2], vec![]];
        let order = Mutex::new(Vec::new());
        let outcome = run(
            &dependencies,
            4,
            |step| {
                order.lock().unwrap().push(step);
                Ok::<(), ()>(())
            },
            |_| (),
        );
        assert_eq!(outcome, Ok(()));
        let order = order.into_inner().unwrap();
        assert_eq!(order.len(), 5);
        let at = |step| order.iter().position(|&s| s == step).unwrap();
        for (step, needs) in dependencies.iter().enumerate() {
            for &need in needs {
                assert!(at(need) < at(step), "{need} before {step} in {order:?}");
            }
        }
    }

    #[test]
    fn independent_steps_overlap() {
        let barrier = std::sync::Barrier::new(4);
        // Four steps that each wait for the three others would never end one after the other.
        let outcome = run(
            &vec![vec![]; 4],
            4,
            |_| {
                barrier.wait();
                Ok::<(), ()>(())
            },
            |_| (),
        );
        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn no_more_than_the_bound_run_at_once() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let outcome = run(
            &vec![vec![]; 20],
            3,
            |_| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok::<(), ()>(())
            },
            |_| (),
        );
        assert_eq!(outcome, Ok(()));
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn the_first_error_ends_the_build() {
        let cancelled = AtomicUsize::new(0);
        let ran = Mutex::new(Vec::new());
        let outcome = run(
            &[vec![], vec![0], vec![1]],
            2,
            |step| {
                ran.lock().unwrap().push(step);
                if step == 1 { Err("no") } else { Ok(()) }
            },
            |_| {
                cancelled.fetch_add(1, Ordering::SeqCst);
            },
        );
        assert_eq!(outcome, Err("no"));
        assert_eq!(ran.into_inner().unwrap(), [0, 1]);
        assert_eq!(cancelled.into_inner(), 1);
    }
}
