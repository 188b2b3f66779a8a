//! Places in the source text.

use serde::Serialize;

/// Byte range in the source, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// Physical lines, numbered from 1, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LineRange {
    /// First line.
    pub first: u32,
    /// Last line, heredoc bodies included.
    pub last: u32,
}
