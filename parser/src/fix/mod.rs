//! Rewriting what a check found, where there is exactly one thing to write instead.
//!
//! Rooms: `edits` finds the places, `casing`, `pairs` and `command` know the rules with more to them, `apply` puts
//! the new text in, `advice` says in words what to write instead, for every rule.
//!
//! Invariants: every byte outside of an edit stays; fixing again changes nothing; what is built stays the same.
//! Two rules are about the image itself, and there the image changes in just that: `MaintainerDeprecated` (a label
//! instead of the author field) and `JSONArgsRecommended` (the program instead of a shell that runs it).

mod advice;
mod apply;
mod casing;
mod command;
mod edits;
mod pairs;
#[cfg(test)]
mod tests;

pub use apply::{Fixed, fix, rewritten};
pub use edits::{Edit, edits};
