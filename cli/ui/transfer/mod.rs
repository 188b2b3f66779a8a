//! The views of images on their way from and to registries: one bar a layer on a terminal, lines elsewhere.

mod lines;
mod live;
mod sum;

use rbuild_image::digest::BlobDigest;
use rbuild_image::registry::{Event, Progress};

use self::lines::Lines;
use self::live::Live;

pub(super) use lines::{line, remark};
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
}

impl Transfer {
    /// A live view if `live`; nothing at all if `quiet`.
    pub(crate) fn new(direction: Direction, live: bool, quiet: bool) -> Self {
        Self(match (quiet, live) {
            (true, _) => View::Quiet,
            (false, true) => View::Live(Live::new(direction)),
            (false, false) => View::Lines(Lines::new(direction)),
        })
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
        }
    }
}

/// A layer as people see it.
pub(super) fn short(digest: BlobDigest) -> String {
    digest.0.hex()[..12].to_owned()
}
