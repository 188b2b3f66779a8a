//! Turns a Dockerfile's plan and a build context into an image. Never prints: it emits events.
//!
//! ```text
//! request ─> inputs ─> planning ─> schedule ─> step ─> assemble ─> output
//!              │          │                     │
//!           context     bases          key · copy · run (sandbox) · seal
//! ```
//!
//! - [`request`], [`event`], [`error`]: what goes in and what comes out.
//! - `inputs`, [`context`]: the context's files, the Dockerfile, the ignore file; content hashes remembered.
//! - [`fetch`], `remote`: downloads and repositories, for ADD and as contexts.
//! - [`lock`]: what names meant when somebody said so.
//! - `planning`, `entitlements`, `bases`, `layouts`: the parser's plans, with base images
//!   from the store, or from archives.
//! - `work`, `emulation`: the plans for several platforms as one, and whether their programs run here.
//! - [`examine`]: the same without building, for checks and drawings.
//! - `schedule`, `session`: what runs when, and what the steps of a build share.
//! - `carry`: a cache that travels between machines.
//! - [`explain`]: what each build did, and why its steps ran or did not.
//! - [`failed`], [`past`], `recipe`: failed steps, kept to be looked at; states of earlier builds.
//! - [`key`], `step`: a step's way from its key to its layer; [`copy`] is the engine of COPY and ADD.
//! - [`cache_mount`]: the folders behind `RUN --mount=type=cache`.
//! - [`room`]: what the cache takes of the disk, and making it take less.
//! - `seal`, `assemble`, `output`: DiffIDs beside the steps, the image's configuration, archives.
//!
//! Invariants: a result is in the store only if it is whole; a key covers everything that the step can observe and
//! the user can change, and nothing else; nothing that runs outlives the build.
#![forbid(unsafe_code)]

mod assemble;
mod bases;
mod build;
pub mod cache_mount;
mod cancel;
mod carry;
mod chain;
pub mod context;
pub mod copy;
mod emulation;
mod entitlements;
pub mod error;
pub mod event;
pub mod examine;
pub mod explain;
pub mod failed;
pub mod fetch;
mod inputs;
pub mod key;
mod layouts;
pub mod lock;
mod output;
pub mod past;
mod planning;
pub mod recipe;
mod remote;
pub mod request;
pub mod room;
mod schedule;
mod seal;
mod session;
mod standby;
mod step;
mod tidy;
mod work;

pub use build::{Built, build};
pub use cancel::Cancel;
