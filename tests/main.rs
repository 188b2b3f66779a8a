//! Tests of the whole program: every one runs the `rbuild` binary in a [`support::Sandbox`] of its own.

mod support;

mod conformance;
mod usage;
