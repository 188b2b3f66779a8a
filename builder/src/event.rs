//! What a build tells while it goes on. The builder never prints: it hands these to an [`Observer`].

use std::time::Duration;

use rbuild_image::digest::LayerId;
use rbuild_parser::source::LineRange;

/// Index of a step in [`Event::Planned`].
pub type StepRef = usize;

/// A step as people see it.
#[derive(Debug, Clone)]
pub struct StepInfo {
    /// Name of the stage, or `stage-N`.
    pub stage: String,
    /// What its programs are for: `os/arch[/variant]`.
    pub platform: String,
    /// `[build 2/5] RUN make`; with the platform if the build is for several.
    pub title: String,
    /// The instruction, keyword in upper case, continuation lines joined: `RUN make`.
    pub instruction: String,
    /// Where it is written.
    pub lines: LineRange,
}

/// What another rbuild has, and a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited<'a> {
    /// The result of the same step.
    Step,
    /// A cache that only one step may have at a time, by its id.
    Cache(&'a str),
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A registry is asked for a base image. Comes before the plan, which depends on the image.
    Pulling {
        /// Its whole name: `docker.io/library/busybox:latest`.
        image: &'a str,
    },
    /// Something happened to a base image on its way.
    Pull {
        /// As in [`Event::Pulling`].
        image: &'a str,
        /// What. Many of them a second.
        event: &'a rbuild_image::registry::Event<'a>,
    },
    /// A base image is in the store.
    Pulled {
        /// As in [`Event::Pulling`].
        image: &'a str,
        /// How long it took.
        duration: Duration,
    },
    /// The steps that the target needs, before the first of them starts.
    Planned(&'a [StepInfo]),
    /// A build check found something to say (Dockerfile reference, build checks).
    Warning(&'a rbuild_parser::lint::Warning),
    /// Something outside of the Dockerfile is not as it should be; the build goes on without it.
    Notice(&'a str),
    /// A step was not in the cache and runs now.
    Started(StepRef),
    /// Another rbuild, or another step of this one, has what a step needs.
    Waiting {
        /// The step.
        step: StepRef,
        /// What this one waits for.
        awaited: Awaited<'a>,
        /// Process id of who has it, if it is known: for another step of this build its own.
        holder: Option<u32>,
    },
    /// A step's program wrote something, to standard output or standard error: both are one stream, in the order in
    /// which it was written.
    Log {
        /// The step.
        step: StepRef,
        /// What: any bytes, not necessarily whole lines.
        bytes: &'a [u8],
    },
    /// A step's result came from the cache.
    Cached(StepRef),
    /// A step has run.
    Done {
        /// The step.
        step: StepRef,
        /// How long it took, from [`Event::Started`].
        duration: Duration,
    },
    /// A step failed; the build's error says how.
    Failed {
        /// The step.
        step: StepRef,
        /// How long it took.
        duration: Duration,
    },
    /// A step was ended because another one failed, or because the user asked for it.
    Cancelled(StepRef),
    /// Something happened to a cache that travels.
    Cache(CacheEvent<'a>),
    /// An output is being written.
    Exporting {
        /// What and where to, as people say it: `docker archive to ./image.tar`.
        what: &'a str,
    },
    /// It is written.
    Exported {
        /// What and where to.
        what: &'a str,
        /// How long that took.
        duration: Duration,
    },
}

/// What happens to a cache from elsewhere (`--cache-from`, `--cache-to`).
#[derive(Debug)]
pub enum CacheEvent<'a> {
    /// It is being read. Comes before the plan.
    Importing {
        /// Where it is, as people say it.
        from: &'a str,
    },
    /// It was read.
    Imported {
        /// As in [`CacheEvent::Importing`].
        from: &'a str,
        /// How many steps it knows.
        steps: usize,
        /// How many layers it has.
        layers: usize,
        /// How long it took to read.
        duration: Duration,
    },
    /// A layer was fetched because something needed its files.
    Fetched {
        /// Which.
        layer: LayerId,
        /// As in [`CacheEvent::Importing`].
        from: &'a str,
        /// Of the blob, in bytes.
        size: u64,
        /// How long it took.
        duration: Duration,
    },
}

/// Who listens. Called from several threads at once.
pub trait Observer: Sync {
    /// Takes note of an event. Should return at once: the build waits for it.
    fn on(&self, event: Event<'_>);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: Event<'_>) {}
}
