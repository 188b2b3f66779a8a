//! A transfer as objects, one a line on standard error; [`crate::ui::json`] describes them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rbuild_image::digest::BlobDigest;
use rbuild_image::registry::{Event, LayerState};
use serde_json::{Value, json};

use super::Direction;
use super::lines::remark;
use crate::exit::Failure;
use crate::ui::print::to_stderr;
use crate::ui::progress::lock;

/// Between two objects about the bytes of one layer.
const PAUSE: Duration = Duration::from_millis(200);

/// The view.
#[derive(Debug)]
pub(super) struct Objects {
    direction: Direction,
    image: String,
    begun: Instant,
    bytes: Mutex<Bytes>,
}

impl Objects {
    pub(super) fn new(direction: Direction, image: &str) -> Self {
        Self { direction, image: image.to_owned(), begun: Instant::now(), bytes: Mutex::default() }
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        // Objects are written in the order in which things happened.
        let bytes = &mut *lock(&self.bytes);
        if let Event::Resolving { .. } = event {
            let kind = if self.direction == Direction::Pull { "pull" } else { "push" };
            write(&json!({"type": kind, "image": self.image}));
        }
        if let Some(object) = object(self.direction, &self.image, event, bytes) {
            write(&object);
        }
    }

    /// The last object about the image, with what else there is to say.
    pub(super) fn done(&self, what: Value) {
        let kind = if self.direction == Direction::Pull { "pulled" } else { "pushed" };
        let duration = (self.begun.elapsed().as_secs_f64() * 1e6).round() / 1e6;
        let mut object = json!({"type": kind, "image": self.image, "duration": duration});
        if let (Value::Object(object), Value::Object(more)) = (&mut object, what) {
            object.extend(more);
        }
        write(&object);
    }

    pub(super) fn failed(&self, failure: Failure) -> Failure {
        let mut object = json!({"type": "error", "image": self.image, "message": failure.message});
        if let Some(hint) = failure.hint {
            object["help"] = hint.into();
        }
        write(&object);
        Failure::silent(failure.code)
    }
}

fn write(object: &Value) {
    // One write a line, so that lines of several processes do not mix.
    to_stderr(format!("{object}\n").as_bytes());
}

/// When the bytes of each layer were spoken of last.
#[derive(Debug, Default)]
pub(in crate::ui) struct Bytes(BTreeMap<BlobDigest, Instant>);

impl Bytes {
    /// Whether it is time for another word about a layer.
    fn is_due(&mut self, layer: BlobDigest) -> bool {
        let now = Instant::now();
        let is_due = self.0.get(&layer).is_none_or(|last| now.duration_since(*last) >= PAUSE);
        if is_due {
            self.0.insert(layer, now);
        }
        is_due
    }
}

/// The object about an event; None where there is none.
pub(in crate::ui) fn object(
    direction: Direction,
    image: &str,
    event: &Event<'_>,
    bytes: &mut Bytes,
) -> Option<Value> {
    Some(match event {
        Event::Layer { digest, size, state } => json!({
            "type": "layer",
            "image": image,
            "digest": digest.to_string(),
            "size": size,
            "state": state_name(direction, *state),
        }),
        Event::Bytes { digest, done, total } if done == total || bytes.is_due(*digest) => json!({
            "type": "bytes",
            "image": image,
            "digest": digest.to_string(),
            "done": done,
            "total": total,
        }),
        other => json!({"type": "notice", "image": image, "message": remark(other)?}),
    })
}

fn state_name(direction: Direction, state: LayerState) -> &'static str {
    match state {
        LayerState::Waiting => "waiting",
        LayerState::Exists => "exists",
        LayerState::Mounted => "mounted",
        LayerState::Compressing => "compressing",
        LayerState::Transferring => "transferring",
        LayerState::Done if direction == Direction::Push => "pushed",
        LayerState::Done => "done",
    }
}

#[cfg(test)]
mod tests {
    use rbuild_image::digest::Digest;

    use super::*;

    #[test]
    fn bytes_are_not_spoken_of_all_the_time() {
        let digest = BlobDigest(Digest::of(b""));
        let mut bytes = Bytes::default();
        let mut said = |done| {
            let event = Event::Bytes { digest, done, total: 9 };
            object(Direction::Push, "x", &event, &mut bytes).is_some()
        };
        assert_eq!([1, 2, 3, 9].map(&mut said), [true, false, false, true]);
        let mounted = Event::Layer { digest, size: 3, state: LayerState::Mounted };
        let object = object(Direction::Push, "x", &mounted, &mut bytes).expect("an object");
        assert_eq!((&object["state"], &object["image"]), (&json!("mounted"), &json!("x")));
    }
}
