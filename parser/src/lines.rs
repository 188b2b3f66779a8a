//! Physical lines to logical lines: comments, continuation lines, heredoc bodies.
//!
//! A [`Logical`] line is one instruction's text as the grammar sees it. It remembers which part of it came from
//! which place in the file, so that what the grammar finds in it can be pointed at.

use std::borrow::Cow;

use crate::diagnostic::Diagnostic;
use crate::directive::{Machine, Seen};
use crate::instruction::Escape;
use crate::source::{LineRange, Span, Spanned, Text, offset};

/// Longest physical line, its newline not counted.
const MAX_LINE: usize = 65535;

/// An instruction's text, continuation lines joined.
#[derive(Debug)]
pub(crate) struct Logical<'s> {
    /// Joined with nothing between the lines; escapes and blanks that continued a line are gone.
    pub(crate) text: Cow<'s, str>,
    /// Where the text begins in the source.
    start: u32,
    /// Where each further line begins: in [`Self::text`] and in the source.
    joints: Vec<(u32, u32)>,
    /// Without heredoc bodies.
    pub(crate) lines: LineRange,
    /// The comments above it.
    pub(crate) comments: Vec<Spanned<Text>>,
    /// The first blank line inside of it.
    pub(crate) empty_continuation: Option<u32>,
}

impl<'s> Logical<'s> {
    fn new(text: &'s str, start: usize, line: u32, comments: Vec<Spanned<Text>>) -> Self {
        Self {
            text: Cow::Borrowed(text),
            start: offset(start),
            joints: Vec::new(),
            lines: LineRange::line(line),
            comments,
            empty_continuation: None,
        }
    }

    fn push(&mut self, text: &str, start: usize) {
        if text.is_empty() {
            return;
        }
        if self.text.is_empty() {
            self.start = offset(start);
        } else {
            self.joints.push((offset(self.text.len()), offset(start)));
        }
        self.text.to_mut().push_str(text);
    }

    /// Where a byte of the text stands in the source.
    fn locate(&self, at: u32) -> u32 {
        match self.joints.partition_point(|&(joined, _)| joined <= at).checked_sub(1) {
            None => self.start + at,
            Some(index) => self.joints[index].1 + (at - self.joints[index].0),
        }
    }

    /// Where a part of [`Self::text`] stands in the source. Everything, if it is no part of it.
    pub(crate) fn span(&self, part: &str) -> Span {
        let start = (part.as_ptr() as usize)
            .checked_sub(self.text.as_ptr() as usize)
            .filter(|start| start + part.len() <= self.text.len());
        let (start, len) = start.map_or((0, self.text.len()), |start| (start, part.len()));
        let first = self.locate(offset(start));
        match len {
            0 => Span { start: first, end: first },
            _ => Span { start: first, end: self.locate(offset(start + len - 1)) + 1 },
        }
    }

    /// A part of the text together with its place.
    pub(crate) fn spanned(&self, part: &str) -> Spanned<Text> {
        Spanned::new(part.into(), self.span(part))
    }
}

/// Reads a file line by line.
#[derive(Debug)]
pub(crate) struct Lines<'s> {
    text: &'s str,
    at: usize,
    /// Number of the line last read.
    line: u32,
    machine: Machine,
    comments: Vec<Spanned<Text>>,
    /// Errors of directives and line lengths, in the order found.
    pub(crate) errors: Vec<Diagnostic>,
    /// Whether a line was too long; nothing is read beyond it.
    pub(crate) too_long: bool,
}

impl<'s> Lines<'s> {
    pub(crate) fn new(text: &'s str) -> Self {
        let (at, line) = (if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }, 0);
        let machine = Machine::default();
        Self { text, at, line, machine, comments: Vec::new(), errors: Vec::new(), too_long: false }
    }

    /// The escape character, as far as the file has been read.
    pub(crate) fn escape(&self) -> Escape {
        self.machine.escape.as_ref().map_or(Escape::default(), |escape| escape.value)
    }

    /// The `escape` directive, once the file has been read.
    pub(crate) fn into_escape(self) -> Option<Spanned<Escape>> {
        self.machine.escape
    }

    /// Number of the line last read.
    pub(crate) fn last_line(&self) -> u32 {
        self.line
    }

    /// The next physical line with its newline, and where it begins.
    fn physical(&mut self) -> Option<(&'s str, usize)> {
        let (start, rest) = (self.at, &self.text[self.at..]);
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest.as_bytes());
        let length = end.unwrap_or(rest.len());
        if length > MAX_LINE {
            self.refuse_long_line(start, length);
            return None;
        }
        self.line += 1;
        self.at += end.map_or(length, |end| end + 1);
        Some((&self.text[start..self.at], start))
    }

    /// BuildKit reports this at the first line, wherever the long one is.
    fn refuse_long_line(&mut self, start: usize, length: usize) {
        let message = format!("dockerfile line greater than max allowed size of {MAX_LINE}");
        let error = Diagnostic::new(message)
            .at_lines(LineRange::line(1))
            .at(Span { start: offset(start), end: offset(start + length) })
            .help(format!("line {} has {length} bytes; split it with continuation lines", self.line + 1));
        self.errors.push(error);
        self.too_long = true;
        self.at = self.text.len();
    }

    /// The next logical line; None at the end.
    pub(crate) fn next_logical(&mut self) -> Option<Logical<'s>> {
        loop {
            let (line, start) = self.physical()?;
            let stripped = line.trim_end_matches(['\r', '\n']);
            let text = stripped.trim_start();
            let start = start + stripped.len() - text.len();
            if text.starts_with('#') {
                self.comment_or_directive(text, start);
                continue;
            }
            self.machine.finish();
            let (kept, continued) = continuation(text, self.escape());
            if kept.is_empty() && !continued {
                continue;
            }
            let comments = std::mem::take(&mut self.comments);
            let mut logical = Logical::new(kept, start, self.line, comments);
            if continued {
                self.join(&mut logical);
            }
            return Some(logical);
        }
    }

    fn join(&mut self, logical: &mut Logical<'s>) {
        while let Some((line, start)) = self.physical() {
            logical.lines.last = self.line;
            let text = line.trim_end_matches(['\r', '\n']);
            match text.trim_start().chars().next() {
                Some('#') => continue,
                None => {
                    logical.empty_continuation.get_or_insert(self.line);
                    continue;
                }
                Some(_) => {}
            }
            let (kept, continued) = continuation(text, self.escape());
            logical.push(kept, start);
            if !continued {
                return;
            }
        }
    }

    fn comment_or_directive(&mut self, text: &str, start: usize) {
        let span = |part: &str| {
            let from = start + (part.as_ptr() as usize - text.as_ptr() as usize);
            Span { start: offset(from), end: offset(from + part.len()) }
        };
        match self.machine.offer(text, span) {
            Ok(Seen::Directive) => {}
            Ok(Seen::Comment) => {
                let comment = text[1..].trim();
                if comment.is_empty() {
                    self.comments.clear();
                } else {
                    self.comments.push(Spanned::new(comment.into(), span(comment)));
                }
            }
            Err(error) => self.errors.push(if error.lines.is_some() {
                error
            } else {
                error.at_lines(LineRange::line(self.line))
            }),
        }
    }

    /// Reads the body of a heredoc. None if the file ends before the delimiter comes.
    pub(crate) fn body(&mut self, name: &str, strip_tabs: bool) -> Option<(&'s str, Span)> {
        let start = self.at;
        loop {
            let (line, end) = self.physical()?;
            let mut text = line.trim_end_matches(['\r', '\n']);
            if strip_tabs {
                text = text.trim_start_matches('\t');
            }
            if text == name {
                return Some((&self.text[start..end], Span { start: offset(start), end: offset(end) }));
            }
        }
    }
}

/// Tells whether a line is continued, and what of it counts.
fn continuation(line: &str, escape: Escape) -> (&str, bool) {
    let Some(head) = line.trim_end_matches([' ', '\t']).strip_suffix(escape.char()) else {
        return (line, false);
    };
    // Of several escape characters the last one is itself escaped; the number does not matter.
    if head.ends_with(escape.char()) { (line, false) } else { (head, true) }
}

#[cfg(test)]
mod tests;
