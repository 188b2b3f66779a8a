//! Tests of the whole program: every one runs the `rbuild` binary in a [`support::Sandbox`] of its own.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a skipped test says so")]

mod support;

mod bad_archives;
mod bad_builds;
mod build;
mod cache;
mod cache_mounts;
mod carry;
mod conformance;
mod debug;
mod fetching;
mod interrupts;
mod loading;
mod lock;
mod logs;
mod looking;
mod lower;
mod manifests;
mod many_layers;
mod mutation;
mod over;
mod platforms;
mod prune;
mod pulling;
mod registry;
mod rights;
mod run;
mod single_id;
mod store;
mod usage;
mod ways;
