//! Patterns at work on a tree: an ignore file, `--exclude`, or the pattern part of `--parents`.
//!
//! A directory that is not kept itself may still hold something that is. Whether it is worth looking inside is
//! decided by the patterns, so that an allow-list (`*`, `!src`) never walks what stands next to `src`.

use rbuild_parser::pattern::{IgnorePatterns, Matched};

use super::error::ContextError;

/// What a sieve says about an entry, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It is in.
    Keep,
    /// It is out, but if it is a directory then something in it may be in.
    Below,
    /// It is out with everything below.
    Drop,
}

/// Patterns, and whether what they match is taken or left.
#[derive(Debug)]
pub(crate) struct Sieve {
    patterns: IgnorePatterns,
    takes_matches: bool,
}

/// The state of the patterns for a directory, from which that of its children follows.
pub(crate) type Mark = Matched;

impl Sieve {
    /// Leaves out what an ignore file matches.
    pub(crate) fn ignoring(patterns: IgnorePatterns) -> Self {
        Self { patterns, takes_matches: false }
    }

    /// Leaves out what `--exclude` patterns match.
    pub(crate) fn excluding(patterns: &[String]) -> Result<Self, ContextError> {
        Ok(Self { patterns: compile(patterns)?, takes_matches: false })
    }

    /// Takes only what a pattern of `--parents` matches, and what lies below that.
    pub(crate) fn taking(pattern: String) -> Result<Self, ContextError> {
        Ok(Self { patterns: compile(&[pattern])?, takes_matches: true })
    }

    /// Judges one path, given the state of its parent directory.
    pub(crate) fn judge(&self, path: &[u8], parent: &Mark) -> (Verdict, Mark) {
        let mark = self.patterns.matches_below(path, parent);
        let may_keep_below = || match self.takes_matches {
            true => self.patterns.may_match_below(path),
            false => self.patterns.may_keep_below(path),
        };
        let verdict = if mark.matched == self.takes_matches {
            Verdict::Keep
        } else if may_keep_below() {
            Verdict::Below
        } else {
            Verdict::Drop
        };
        (verdict, mark)
    }
}

fn compile(patterns: &[String]) -> Result<IgnorePatterns, ContextError> {
    IgnorePatterns::new(patterns.iter().map(String::as_str))
        .map_err(|cause| ContextError::Pattern(cause.to_string()))
}
