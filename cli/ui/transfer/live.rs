//! A transfer on a terminal: a bar for each layer with its rate, and one for all of them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rbuild_image::digest::BlobDigest;
use rbuild_image::registry::{Event, LayerState};

use super::lines::{line, words};
use super::{Direction, short};
use crate::ui::progress::lock;

/// Pictures a second.
const HERTZ: u8 = 10;
const WAITS: &str = "{prefix}: {wide_msg}";
const MOVES: &str = "{prefix}: {msg:13} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
const TOTAL: &str = "{msg:27} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// The view.
pub(super) struct Live {
    direction: Direction,
    bars: MultiProgress,
    state: Mutex<State>,
}

struct State {
    layers: BTreeMap<BlobDigest, ProgressBar>,
    total: ProgressBar,
    sizes: BTreeMap<BlobDigest, (u64, u64)>,
}

impl Live {
    pub(super) fn new(direction: Direction) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
        let total = bars.add(ProgressBar::new(0).with_style(style(TOTAL)));
        let state = State { layers: BTreeMap::new(), total, sizes: BTreeMap::new() };
        Self { direction, bars, state: Mutex::new(state) }
    }

    /// Leaves the layers' last lines where they are.
    pub(super) fn leave(&self) {
        let state = lock(&self.state);
        state.total.finish_and_clear();
        for bar in state.layers.values().filter(|bar| !bar.is_finished()) {
            bar.abandon();
        }
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        let state = &mut *lock(&self.state);
        match event {
            Event::Layer { digest, size, state: now } => self.layer(state, *digest, *size, *now),
            Event::Bytes { digest, done, total } => {
                if let Some(bar) = state.layers.get(digest) {
                    bar.set_length(*total);
                    bar.set_position(*done);
                }
                state.sizes.insert(*digest, (*done, *total));
                state.sum();
            }
            other => {
                if let Some(text) = line(self.direction, other) {
                    let _ = self.bars.println(text);
                }
            }
        }
    }

    fn layer(&self, state: &mut State, digest: BlobDigest, size: u64, now: LayerState) {
        let bar = state.layers.entry(digest).or_insert_with(|| {
            let bar = self.bars.insert_before(&state.total, ProgressBar::new(size));
            bar.with_style(style(WAITS)).with_prefix(short(digest))
        });
        match now {
            LayerState::Waiting => bar.set_message("Waiting"),
            LayerState::Compressing => bar.set_message("Compressing"),
            LayerState::Transferring => {
                bar.set_style(style(MOVES));
                bar.set_length(size);
                bar.reset_elapsed();
                bar.set_message(if self.direction == Direction::Pull { "Downloading" } else { "Pushing" });
                state.sizes.entry(digest).or_insert((0, size));
            }
            LayerState::Exists | LayerState::Mounted | LayerState::Done => {
                bar.set_style(style(WAITS));
                bar.finish_with_message(words(self.direction, now).unwrap_or_default());
            }
        }
        state.sum();
    }
}

impl State {
    fn sum(&self) {
        let sum = |of: fn(&(u64, u64)) -> u64| self.sizes.values().map(of).sum();
        self.total.set_length(sum(|(_, total)| *total));
        self.total.set_position(sum(|(done, _)| *done));
        let done = self.layers.values().filter(|bar| bar.is_finished()).count();
        self.total.set_message(format!("{done}/{} layers", self.layers.len()));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
