//! The views of images on their way from and to registries: one bar a layer on a terminal, lines elsewhere.

mod lines;
mod live;
mod objects;
mod sum;

use rbuild_image::digest::BlobDigest;
use rbuild_image::registry::{Event, Progress};

use self::lines::Lines;
use self::live::Live;
use self::objects::Objects;
use crate::exit::Failure;
use crate::settings::ProgressMode;

pub(super) use lines::{line, remark};
pub(super) use objects::{Bytes, object};
pub(super) use sum::Sum;

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To us.
    Pull,
    /// To the registry.
    Push,
}

/// A view of one transfer, on standard error.
pub(crate) struct Transfer(View);

enum View {
    Quiet,
    Lines(Lines),
    Live(Live),
    Objects(Objects),
}

impl Transfer {
    /// A view of `image` on its way.
    pub(crate) fn new(direction: Direction, mode: ProgressMode, image: &str) -> Self {
        Self(match mode {
            ProgressMode::Quiet => View::Quiet,
            ProgressMode::Tty => View::Live(Live::new(direction)),
            ProgressMode::Plain => View::Lines(Lines::new(direction)),
            ProgressMode::Json => View::Objects(Objects::new(direction, image)),
        })
    }

    /// A view of questions that nobody need hear of.
    pub(crate) fn silent() -> Self {
        Self(View::Quiet)
    }

    /// The image is where it should be: for programs, which read no standard output. `what` has more about it.
    pub(crate) fn done(&self, what: serde_json::Value) {
        self.leave();
        if let View::Objects(objects) = &self.0 {
            objects.done(what);
        }
    }

    /// The transfer failed: what the command still has to say about it.
    pub(crate) fn failed(&self, failure: Failure) -> Failure {
        self.leave();
        match &self.0 {
            View::Objects(objects) => objects.failed(failure),
            _ => failure,
        }
    }

    /// The last word of the view; the terminal is free again.
    pub(crate) fn leave(&self) {
        if let View::Live(live) = &self.0 {
            live.leave();
        }
    }
}

impl Progress for Transfer {
    fn event(&self, event: Event<'_>) {
        match &self.0 {
            View::Quiet => {}
            View::Lines(lines) => lines.event(&event),
            View::Live(live) => live.event(&event),
            View::Objects(objects) => objects.event(&event),
        }
    }
}

/// A layer as people see it.
pub(super) fn short(digest: BlobDigest) -> String {
    digest.0.hex()[..12].to_owned()
}
