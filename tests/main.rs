//! Tests of the whole program: every one runs the `rbuild` binary in a [`support::Sandbox`] of its own.

#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod support;

mod bad_archives;
mod bad_builds;
mod build;
mod conformance;
mod interrupts;
mod prune;
mod run;
mod store;
mod usage;
