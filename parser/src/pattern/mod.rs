//! Two languages of path patterns (spec, appendix B).
//!
//! `glob` is Go's `path.Match`: the wildcards in the sources of COPY and ADD. `ignore` is the language of ignore
//! files, of `--exclude` and of `--parents`, where `**` crosses directories, `!` makes an exception, and a match
//! of a directory reaches everything below it.
//!
//! Both match in time proportional to pattern times path, whatever the pattern. Paths are bytes: names on disk
//! need not be UTF-8.

mod class;
mod glob;
mod ignore;
mod ignore_pattern;
#[cfg(test)]
mod tests;

pub use glob::{BadPattern, has_wildcard, path_match};
pub use ignore::{IgnoreError, IgnorePatterns, Matched};
