//! Failed steps, kept to be looked at: `rbuild build --debug`, `rbuild shell`.
//!
//! ```text
//! a step fails ─> keep ─> failed/<build>.<number>/ of the store      (keep, record)
//! rbuild shell ─> find ─> enter ─> a sandbox with the step's world   (enter)
//! ```
//!
//! A RUN leaves its files as they were when it failed; every other step leaves the state that it started from. With
//! them goes what a shell there needs: environment, user, working directory and mounts, but never secrets, agents and
//! proxies.
//!
//! Invariants: a build that succeeds pays one look at a folder that is usually not there; what is kept goes with the
//! next build of the same Dockerfile, after a day, or when room is made, but never while somebody is in it.

mod enter;
mod keep;
mod record;

pub use enter::{EnterError, Entered, Program, enter, find, list};
pub(crate) use keep::{forget, keep};
pub use record::{Kept, KeptMount, KeptSource, Scene};
