//! Tidying up beside the steps.
//!
//! What a step leaves behind takes a fifth of a small step's time to remove: the kernel takes a sandbox apart, and
//! every folder and file that goes is written to the file system's journal. The next step needs none of that, so it is
//! done on a thread of its own, in the order in which it was handed in. So is what the next step may find done.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rbuild_runtime::sandbox::Child;

/// Drops what it is given on a thread that starts with the first of it. Everything is gone when this is.
#[derive(Debug, Default)]
pub(crate) struct Tidier {
    work: Mutex<Option<Work>>,
    sandboxes: Arc<Sandboxes>,
}

#[derive(Debug)]
struct Work {
    queue: Sender<Leftover>,
    thread: JoinHandle<()>,
}

/// Sandboxes without processes that the kernel has not taken apart yet.
#[derive(Debug, Default)]
struct Sandboxes {
    count: Mutex<usize>,
    changed: Condvar,
}

enum Leftover {
    Sandbox(Child),
    Errand(Box<dyn FnOnce() + Send>),
    Other(Box<dyn Send>),
}

impl Tidier {
    /// Drops something when there is time.
    pub(crate) fn tidy(&self, leftover: impl Send + 'static) {
        self.hand_in(Leftover::Other(Box::new(leftover)));
    }

    /// Does something that nobody depends on.
    pub(crate) fn run(&self, errand: impl FnOnce() + Send + 'static) {
        self.hand_in(Leftover::Errand(Box::new(errand)));
    }

    /// Waits for the end of a sandbox in which no process is left.
    pub(crate) fn take_apart(&self, sandbox: Child) {
        *self.sandboxes.lock() += 1;
        self.hand_in(Leftover::Sandbox(sandbox));
    }

    /// Returns when the mounts of all sandboxes are gone that were handed in. Overlayfs does not like a folder to be
    /// below one mount as long as it is on top of another.
    pub(crate) fn wait_for_sandboxes(&self) {
        let mut count = self.sandboxes.lock();
        while *count > 0 {
            count = self.sandboxes.changed.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn hand_in(&self, leftover: Leftover) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.is_none() {
            let (queue, receiver) = channel();
            let sandboxes = Arc::clone(&self.sandboxes);
            let thread = std::thread::Builder::new().spawn(move || run(&receiver, &sandboxes));
            *work = thread.ok().map(|thread| Work { queue, thread });
        }
        let refused = match &*work {
            Some(work) => work.queue.send(leftover).err().map(|refused| refused.0),
            None => Some(leftover),
        };
        match refused {
            None | Some(Leftover::Errand(_)) => {}
            // Nobody does it for us.
            Some(leftover) => tidy_up(leftover, &self.sandboxes),
        }
    }
}

impl Drop for Tidier {
    fn drop(&mut self) {
        let work = self.work.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Work { queue, thread }) = work {
            drop(queue);
            let _ = thread.join();
        }
    }
}

impl Sandboxes {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(queue: &Receiver<Leftover>, sandboxes: &Sandboxes) {
    queue.iter().for_each(|leftover| tidy_up(leftover, sandboxes));
}

fn tidy_up(leftover: Leftover, sandboxes: &Sandboxes) {
    match leftover {
        Leftover::Sandbox(mut sandbox) => {
            // Its program's exit is known; there is nobody left to tell of a failure.
            let _ = sandbox.wait();
            drop(sandbox);
            *sandboxes.lock() -= 1;
            sandboxes.changed.notify_all();
        }
        Leftover::Errand(errand) => errand(),
        Leftover::Other(other) => drop(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told(Arc<Mutex<Vec<u32>>>, u32);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    #[test]
    fn everything_is_gone_in_order_when_the_tidier_is() {
        let gone = Arc::new(Mutex::new(Vec::new()));
        let tidier = Tidier::default();
        (0..5).for_each(|number| tidier.tidy(Told(Arc::clone(&gone), number)));
        tidier.wait_for_sandboxes();
        drop(tidier);
        assert_eq!(*gone.lock().unwrap(), [0, 1, 2, 3, 4]);
    }
}
