//! Lists of patterns, of which the last one that matches decides.

use super::glob;
use super::ignore_pattern::Pattern;
use crate::paths::clean;

/// Why a list of patterns cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A `!` with nothing behind it.
    #[error("illegal exclusion pattern: \"!\"")]
    EmptyExclusion,
    /// A glob that is malformed.
    #[error("syntax error in pattern: {0}")]
    Syntax(String),
    /// A file that is not text.
    #[error("ignore file is not valid UTF-8 on line {0}")]
    NotText(usize),
}

/// An ordered list of patterns with exceptions (spec 5.2).
#[derive(Debug, Clone, Default)]
pub struct IgnorePatterns {
    patterns: Vec<Pattern>,
    exclusions: bool,
}

/// What is known about a path, for the paths below it. The default value stands for the root.
#[derive(Debug, Clone, Default)]
pub struct Matched {
    /// Whether the path is selected by the list: ignored, for an ignore file.
    pub matched: bool,
    by: Vec<bool>,
}

impl IgnorePatterns {
    /// Reads an ignore file: comments, blank lines, a byte order mark and surrounding white space do not count.
    pub fn parse(file: &[u8]) -> Result<Self, IgnoreError> {
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let mut lines = Vec::new();
        for (index, line) in file.split(|&byte| byte == b'\n').enumerate() {
            if line.starts_with(b"#") {
                continue;
            }
            let line = std::str::from_utf8(line).map_err(|_| IgnoreError::NotText(index + 1))?.trim();
            let (sign, pattern) = match line.strip_prefix('!') {
                Some(pattern) => ("!", pattern.trim()),
                None => ("", line),
            };
            if pattern.is_empty() {
                lines.push(sign.to_owned());
                continue;
            }
            let cleaned = clean(pattern);
            let relative = cleaned.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&cleaned);
            lines.push(format!("{sign}{relative}"));
        }
        Self::new(lines.iter().map(String::as_str))
    }

    /// From patterns as they are given to `--exclude`; a leading `!` marks an exception.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, IgnoreError> {
        let mut list = Self::default();
        for pattern in patterns.into_iter().map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let cleaned = clean(pattern);
            let (exclusion, text) = match cleaned.strip_prefix('!') {
                Some("") => return Err(IgnoreError::EmptyExclusion),
                Some(rest) => (true, rest),
                None => (false, &*cleaned),
            };
            let bad = |_| IgnoreError::Syntax(pattern.to_owned());
            glob::validate(text).map_err(bad)?;
            list.patterns.push(Pattern::new(text, exclusion).map_err(bad)?);
            list.exclusions |= exclusion;
        }
        Ok(list)
    }

    /// True if there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// True if some pattern begins with `!`.
    pub fn has_exclusions(&self) -> bool {
        self.exclusions
    }

    /// Whether the list selects `path`, which is relative, without `.` or a trailing slash.
    ///
    /// Walks should use [`Self::matches_below`], which does not look at the parents again.
    pub fn matches(&self, path: &[u8]) -> bool {
        if !self.exclusions {
            return self.matches_plain(path);
        }
        let mut state = Matched::default();
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            state = self.matches_below(&path[..at], &state);
        }
        self.matches_below(path, &state).matched
    }

    fn matches_plain(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut ends: Vec<usize> = slashes.collect();
        ends.push(path.len());
        ends.iter().any(|&end| self.patterns.iter().any(|pattern| pattern.matches(&path[..end])))
    }

    /// Whether the list selects `path`, given the answer for its parent directory.
    pub fn matches_below(&self, path: &[u8], parent: &Matched) -> Matched {
        let mut state = Matched { matched: false, by: vec![false; self.patterns.len()] };
        for (index, pattern) in self.patterns.iter().enumerate() {
            let mut hit = parent.by.get(index).copied().unwrap_or(false);
            if !hit {
                // A pattern that could not change the answer is not asked, and counts as one that did not match
                // for the paths below. This can be seen from outside, so it is not just a shortcut.
                if pattern.exclusion != state.matched {
                    continue;
                }
                hit = pattern.matches(path);
            }
            state.by[index] = hit;
            if hit {
                state.matched = !pattern.exclusion;
            }
        }
        state
    }

    /// Whether something below the ignored directory `dir` could still be kept by an exception. If not, a walk
    /// need not enter it.
    pub fn may_keep_below(&self, dir: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| pattern.exclusion && pattern.could_match_below(dir))
    }

    /// Whether something below `dir` could be selected: for lists that say what to take, as `--parents` does.
    pub fn may_match_below(&self, dir: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| !pattern.exclusion && pattern.could_match_below(dir))
    }
}
