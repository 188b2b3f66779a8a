//! A whole transfer in one line: for the view of a build, which has other things to show as well.

use std::collections::BTreeMap;
use std::time::Instant;

use rbuild_image::digest::BlobDigest;
use rbuild_image::registry::{Event, LayerState};

use crate::format::human;

/// What has arrived, of how much.
#[derive(Debug)]
pub(in crate::ui) struct Sum {
    layers: BTreeMap<BlobDigest, Layer>,
    begun: Instant,
}

#[derive(Debug, Default)]
struct Layer {
    done: u64,
    size: u64,
    is_there: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self { layers: BTreeMap::new(), begun: Instant::now() }
    }
}

impl Sum {
    /// Takes note of an event; true if it changes the line.
    pub(in crate::ui) fn add(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::Layer { digest, size, state } => {
                let layer = self.layers.entry(*digest).or_default();
                layer.is_there = matches!(state, LayerState::Exists | LayerState::Mounted | LayerState::Done);
                if *state != LayerState::Exists {
                    layer.size = *size;
                }
                true
            }
            Event::Bytes { digest, done, total } => {
                let layer = self.layers.entry(*digest).or_default();
                (layer.done, layer.size) = (*done, *total);
                true
            }
            _ => false,
        }
    }

    /// `2/5 layers  12MB/80MB  6MB/s`.
    pub(in crate::ui) fn text(&self) -> String {
        let there = self.layers.values().filter(|layer| layer.is_there).count();
        let done: u64 = self.layers.values().map(|layer| layer.done).sum();
        let size: u64 = self.layers.values().map(|layer| layer.size).sum();
        let milliseconds = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = done.saturating_mul(1000) / milliseconds;
        let (done, size, rate) = (human::size(done), human::size(size), human::size(rate));
        format!("{there}/{} layers  {done}/{size}  {rate}/s", self.layers.len())
    }
}

#[cfg(test)]
mod tests {
    use rbuild_image::digest::Digest;

    use super::*;

    #[test]
    fn what_is_there_is_not_fetched() {
        let [a, b] = [BlobDigest(Digest::of(b"a")), BlobDigest(Digest::of(b"b"))];
        let mut sum = Sum::default();
        assert!(sum.add(&Event::Layer { digest: a, size: 7_000_000, state: LayerState::Exists }));
        assert!(sum.add(&Event::Layer { digest: b, size: 5_000_000, state: LayerState::Transferring }));
        assert!(sum.add(&Event::Bytes { digest: b, done: 2_000_000, total: 5_000_000 }));
        assert!(!sum.add(&Event::Resolving { image: "x", host: "h" }));
        assert!(sum.text().starts_with("1/2 layers  2MB/5MB  "), "{}", sum.text());
    }
}
