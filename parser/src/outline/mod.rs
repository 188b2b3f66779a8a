//! What a Dockerfile offers to whoever builds it: its targets, and for one of them the arguments, secrets, SSH
//! agents and caches that it takes. `docker buildx build --call targets` and `--call outline` show the same.
//!
//! Rooms: `targets` lists the stages, `inputs` finds what a target takes, `table` prints both as text. As JSON they are
//! serialised as they are; the names of the members are BuildKit's.

mod inputs;
mod table;
mod targets;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use inputs::{ArgInput, CacheInput, Outline, SecretInput, outline};
pub use targets::{TargetItem, Targets, targets};

use crate::source::{LineRange, Spanned, Text};

/// Where something is said, in the form of BuildKit's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// One range.
    pub ranges: [Range; 1],
}

/// First and last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// First.
    pub start: Position,
    /// Last.
    pub end: Position,
}

/// A line, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Its number.
    pub line: u32,
}

impl From<LineRange> for Location {
    fn from(lines: LineRange) -> Self {
        let position = |line| Position { line };
        Self { ranges: [Range { start: position(lines.first), end: position(lines.last) }] }
    }
}

/// What the comments above say about a name: the rest of a line that begins with it.
fn description(comments: &[Spanned<Text>], name: &str) -> String {
    let about = |comment: &Spanned<Text>| {
        let rest = comment.value.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim_start().to_owned())
    };
    if name.is_empty() { String::new() } else { comments.iter().find_map(about).unwrap_or_default() }
}
