//! Why a step ran, or did not: `rbuild explain`.
//!
//! ```text
//! build  ─> trace ─> builds/<id>           what each step was, its key, whether it hit          (record)
//!                    inputs/<record key>   the files in a key, written when the step runs       (inputs)
//! explain: a build's step ─> the last earlier build of the same step ─> compare ─> changes      (lookup, compare, files)
//! ```
//!
//! Keys are digests of typed records, so a miss is explained by laying two records side by side. "The same step" is
//! the one of the same Dockerfile and stage with the same text, else in the same place; if there never was one, the
//! record with the fewest differences is named instead, and called what it is.
//!
//! Invariants: nothing that decides about hits reads anything of this; a build that cannot be recorded is still a
//! build; what is missing (pruned, from another version) is said to be unknown, never guessed.

mod change;
mod compare;
mod culprit;
mod files;
mod inputs;
mod lookup;
mod mounts;
mod record;
mod trace;

pub use change::{Change, Culprit, FileChange, FileChanges};
pub(crate) use inputs::{Selected, encode as encode_inputs};
pub use lookup::{ExplainError, Explained, Nearest, StepReport, Verdict, explain};
pub(crate) use record::forget_builds;
pub use record::{BuildId, BuildRecord, BuildStep, Outcome, Parent, Status, StepHead, find};
pub(crate) use trace::{End, Trace, dockerfile};
