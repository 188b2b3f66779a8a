//! A transfer as lines, in docker's words: one for each thing that happens to a layer, none for bytes.

use rbuild_image::registry::{Event, LayerState};

use super::{Direction, short};
use crate::ui::print::to_stderr;

/// The view.
#[derive(Debug)]
pub(super) struct Lines {
    direction: Direction,
}

impl Lines {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction }
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        if let Some(line) = line(self.direction, event) {
            to_stderr(format!("{line}\n").as_bytes());
        }
    }
}

/// What is said of an event; None where that is nothing.
pub(in crate::ui) fn line(direction: Direction, event: &Event<'_>) -> Option<String> {
    match event {
        Event::Layer { digest, state, .. } => {
            Some(format!("{}: {}", short(*digest), words(direction, *state)?))
        }
        other => remark(other),
    }
}

/// What is said of an event that is not about a layer: something goes wrong, and there is a way on.
pub(in crate::ui) fn remark(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::MirrorFailed { host, reason } => format!("mirror {host} does not help: {reason}"),
        Event::Retrying { reason, attempt, pause } => {
            format!("trying again in {:.1}s (attempt {attempt}): {reason}", pause.as_secs_f64())
        }
        Event::Reduced { index, left_out } => format!(
            "not all images of {index} are in the store, and not pushed are those for {}",
            left_out.join(", ")
        ),
        _ => return None,
    })
}

/// Docker's words for what happens to a layer.
pub(super) fn words(direction: Direction, state: LayerState) -> Option<&'static str> {
    Some(match (direction, state) {
        (Direction::Pull, LayerState::Waiting) => "Pulling fs layer",
        (Direction::Pull, LayerState::Exists) => "Already exists",
        (Direction::Pull, LayerState::Done) => "Pull complete",
        (Direction::Push, LayerState::Waiting) => "Preparing",
        (Direction::Push, LayerState::Exists) => "Layer already exists",
        (Direction::Push, LayerState::Mounted) => "Mounted from another repository",
        (Direction::Push, LayerState::Done) => "Pushed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rbuild_image::digest::{BlobDigest, Digest};

    use super::*;

    #[test]
    fn dockers_words() {
        let digest = BlobDigest(Digest::of(b""));
        let layer = |state| Event::Layer { digest, size: 5, state };
        let retrying = Event::Retrying { reason: "cut", attempt: 2, pause: Duration::from_millis(250) };
        for (direction, event, want) in [
            (Direction::Pull, layer(LayerState::Waiting), Some("e3b0c44298fc: Pulling fs layer")),
            (Direction::Pull, layer(LayerState::Transferring), None),
            (Direction::Pull, layer(LayerState::Done), Some("e3b0c44298fc: Pull complete")),
            (Direction::Push, layer(LayerState::Exists), Some("e3b0c44298fc: Layer already exists")),
            (Direction::Push, Event::Bytes { digest, done: 1, total: 2 }, None),
            (Direction::Pull, retrying, Some("trying again in 0.2s (attempt 2): cut")),
        ] {
            assert_eq!(line(direction, &event).as_deref(), want, "{event:?}");
        }
    }
}
