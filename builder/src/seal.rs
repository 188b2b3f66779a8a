//! DiffIDs beside the steps: SHA-256 is slow, and only the finished image needs it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use rbuild_image::layer::TarSummary;
use rbuild_image::store::{Published, UnpublishedTar};
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
    queue: Mutex<Option<Sender<Handed>>>,
    stop: Arc<AtomicBool>,
}

/// Fewer entries than this are not worth a thread of their own.
const WORTH_ENTRIES: u64 = 256;

/// What [`Seal::begin`] began. It ends soon after this is dropped.
#[derive(Debug)]
pub(crate) struct Begun {
    answer: Receiver<TarSummary>,
    stop: Arc<AtomicBool>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A layer, and its digest if that was begun.
type Handed = (Published, Option<Begun>);

/// Where steps hand in the layers they made.
pub(crate) trait Seal: Sync {
    /// Begins with the DiffID of a layer that is about to be published, if the image will need it.
    fn begin(&self, step: StepId, tar: UnpublishedTar) -> Option<Begun>;

    /// Has the DiffID of `step`'s layer computed, if the image will need it.
    fn seal(&self, step: StepId, layer: Published, begun: Option<Begun>);

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
    fn begin(&self, step: StepId, tar: UnpublishedTar) -> Option<Begun> {
        if !self.wanted.contains(&step) || tar.entries() < WORTH_ENTRIES {
            return None;
        }
        let (sender, answer) = sync_channel(1);
        let begun = Begun { answer, stop: Arc::default() };
        let stop = Arc::clone(&begun.stop);
        self.scope.spawn(move || {
            // Without an answer the layer is read again, and the failure met where it is reported. Nobody may be
            // waiting any more either.
            let _ = tar.read(&stop).map(|tar| sender.send(tar));
        });
        Some(begun)
    }

    fn seal(&self, step: StepId, layer: Published, begun: Option<Begun>) {
        if !self.wanted.contains(&step) {
            return;
        }
        // Where an equal layer was there, nobody needs that of ours.
        let begun = begun.filter(|_| layer.listing.is_some());
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.get_or_insert_with(|| {
            let (sender, receiver) = channel();
            let stop = Arc::clone(&self.stop);
            self.scope.spawn(move || work(&receiver, &stop));
            sender
        });
        // The thread outlives the sender; should it be gone, the image's assembly computes the DiffID.
        let _ = sender.send((layer, begun));
    }

    fn is_last(&self, step: StepId) -> bool {
        self.last.contains(&step)
    }
}

fn work(queue: &Receiver<Handed>, stop: &AtomicBool) {
    for (Published { layer, listing }, begun) in queue {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // A failure is met again, and reported, by whoever asks for the DiffID.
        let _ = match (listing, begun) {
            (Some(_), Some(begun)) => layer.tar_from(|| begun.answer.recv().ok()),
            (Some(listing), None) => layer.tar_of(&listing),
            // Another's equal layer, whose times may be others.
            (None, _) => layer.tar(),
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
