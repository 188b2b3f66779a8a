//! What the tests of the program share: a sandbox with a store of its own, and readers of what comes out.

pub(crate) mod archive;
pub(crate) mod bucket;
#[expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]
#[path = "../../image/tests/registry/server.rs"]
pub(crate) mod faulty;
mod leaks;
pub(crate) mod outcome;
pub(crate) mod registry;
pub(crate) mod repository;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod web;

pub(crate) use outcome::Outcome;
pub(crate) use sandbox::{BUSYBOX, Sandbox};
