//! The text of a Dockerfile and places in it.

use std::borrow::Cow;

use compact_str::CompactString;
use serde::Serialize;

/// A piece of a file, as the tree has it. Most are short and need no allocation.
pub type Text = CompactString;

/// Byte range in [`Source::text`], end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Physical lines, numbered from 1, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LineRange {
    /// First line.
    pub first: u32,
    /// Last line, heredoc bodies included.
    pub last: u32,
}

impl LineRange {
    /// One line.
    #[must_use]
    pub fn line(line: u32) -> Self {
        Self { first: line, last: line }
    }
}

/// Something and where it is written. Comparisons look at both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Spanned<T> {
    /// What is written.
    pub value: T,
    /// Where. Of what continues over several lines, this is everything from its first to its last byte.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts the two together.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl Spanned<Text> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.value
    }
}

/// A whole file, with its lines indexed.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    text: Cow<'a, str>,
    /// Offset of the first byte of each line. Lines end at `\n`; what follows the last one is a line, too.
    starts: Vec<u32>,
}

impl<'a> Source<'a> {
    /// Reads a file. Bytes that are not UTF-8 are replaced by U+FFFD, and all offsets are offsets in the text
    /// that results; only the first 4 GiB are looked at.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.get(..u32::MAX as usize / 4).unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| offset(at + 1)));
        Self { text, starts }
    }

    /// The text that spans point into.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines there are. A file that ends in a newline has an empty last line.
    #[must_use]
    pub fn line_count(&self) -> u32 {
        offset(self.starts.len())
    }

    /// One line without its newline; None if there is no such line. Lines are numbered from 1.
    #[must_use]
    pub fn line(&self, line: u32) -> Option<&str> {
        let index = (line as usize).checked_sub(1)?;
        let start = *self.starts.get(index)? as usize;
        let end = self.starts.get(index + 1).map_or(self.text.len(), |&next| next as usize - 1);
        self.text.get(start..end)
    }

    /// Line and column (in bytes) of an offset, both numbered from 1.
    #[must_use]
    pub fn position(&self, at: u32) -> (u32, u32) {
        let line = self.starts.partition_point(|&start| start <= at).max(1);
        (offset(line), at - self.starts[line - 1] + 1)
    }

    /// The text of a span; empty if it does not lie in the file.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The lines that a span touches.
    #[must_use]
    pub fn lines(&self, span: Span) -> LineRange {
        let last = span.end.max(span.start + 1) - 1;
        LineRange { first: self.position(span.start).0, last: self.position(last).0 }
    }
}

/// An index into a text of at most 4 GiB.
pub(crate) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
