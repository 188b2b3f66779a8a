//! A build that starts over is told as one build.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::event::{Event, Observer, StepRef};

/// Passes on what happens, but for steps that have ended in an earlier round and are found in the cache again.
pub(crate) struct Rounds<'a> {
    inner: &'a dyn Observer,
    ended: Mutex<BTreeSet<StepRef>>,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(inner: &'a dyn Observer) -> Self {
        Self { inner, ended: Mutex::default() }
    }
}

impl Observer for Rounds<'_> {
    fn on(&self, event: Event<'_>) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = match event {
            // A hit whose layer was lost: it runs after all.
            Event::Started(step) => {
                ended.remove(&step);
                true
            }
            Event::Done { step, .. } => {
                ended.insert(step);
                true
            }
            Event::Cached(step) => ended.insert(step),
            Event::Log { step, .. } => !ended.contains(&step),
            _ => true,
        };
        drop(ended);
        if is_news {
            self.inner.on(event);
        }
    }
}
