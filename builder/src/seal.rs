//! DiffIDs beside the steps: SHA-256 is slow, and only the finished image needs it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use rbuild_image::store::Published;
use rbuild_parser::plan::{Root, StepId};

use crate::work::Work;

/// Computes DiffIDs on a thread of its own, which starts with the first layer.
#[derive(Debug)]
pub(crate) struct Sealer<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    /// Steps whose layers are in the finished image.
    wanted: BTreeSet<StepId>,
    /// Those among them that nothing else waits for.
    last: BTreeSet<StepId>,
    queue: Mutex<Option<Sender<Published>>>,
    stop: Arc<AtomicBool>,
}

/// Where steps hand in the layers they made.
pub(crate) trait Seal: Sync {
    /// Has the DiffID of `step`'s layer computed, if the image will need it.
    fn seal(&self, step: StepId, layer: Published);

    /// Whether the image needs the DiffID of `step`'s layer and no other step its files: then there is nothing to do
    /// meanwhile, and it had better be computed while the files are read anyway.
    fn is_last(&self, step: StepId) -> bool;
}

impl<'scope, 'env> Sealer<'scope, 'env> {
    /// Nothing is computed unless `image` says that there will be an image.
    pub(crate) fn new(scope: &'scope Scope<'scope, 'env>, work: &Work, image: bool) -> Self {
        let wanted = if image { steps_of_targets(work) } else { BTreeSet::new() };
        let last = if image { work.last_steps() } else { BTreeSet::new() };
        Self { scope, wanted, last, queue: Mutex::default(), stop: Arc::default() }
    }

    /// Ends the thread: after what was handed in, or as soon as possible if the build has failed.
    pub(crate) fn end(&self, failed: bool) {
        self.stop.store(failed, Ordering::Relaxed);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Seal for Sealer<'_, '_> {
    fn seal(&self, step: StepId, layer: Published) {
        if !self.wanted.contains(&step) {
            return;
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.get_or_insert_with(|| {
            let (sender, receiver) = channel();
            let stop = Arc::clone(&self.stop);
            self.scope.spawn(move || work(&receiver, &stop));
            sender
        });
        // The thread outlives the sender; should it be gone, the image's assembly computes the DiffID.
        let _ = sender.send(layer);
    }

    fn is_last(&self, step: StepId) -> bool {
        self.last.contains(&step)
    }
}

fn work(queue: &Receiver<Published>, stop: &AtomicBool) {
    for Published { layer, listing } in queue {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // A failure is met again, and reported, by whoever asks for the DiffID.
        let _ = match listing {
            Some(listing) => layer.tar_of(&listing),
            None => layer.tar(),
        };
    }
}

/// The steps whose layers the targets' file systems consist of.
fn steps_of_targets(work: &Work) -> BTreeSet<StepId> {
    let mut steps = BTreeSet::new();
    for target in &work.targets {
        let mut root = &target.root;
        while let Root::Step(id) = root {
            steps.insert(*id);
            root = &work.steps[id.0 as usize].parent;
        }
    }
    steps
}
