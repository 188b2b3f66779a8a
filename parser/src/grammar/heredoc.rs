//! Finding the heredocs of a line.

use nom::bytes::complete::tag;
use nom::character::complete::{char, digit0};
use nom::combinator::{opt, rest, verify};
use nom::{IResult, Parser};

use super::shellwords;
use crate::diagnostic::Diagnostic;
use crate::go::quote;

/// `<<NAME`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Unquoted.
    pub(crate) name: String,
    /// False if it was quoted.
    pub(crate) expand: bool,
    pub(crate) strip_tabs: bool,
    pub(crate) fd: u32,
}

/// The markers of a logical line, keyword and flags included. A line with quotes that do not match has none.
pub(crate) fn markers(line: &str) -> Result<Vec<Marker>, Diagnostic> {
    let Ok(found) = shellwords::split(line, true) else { return Ok(Vec::new()) };
    found.words.iter().filter_map(|word| marker(word).transpose()).collect()
}

/// Reads a word; None if it is no marker.
///
/// # Errors
/// If it is one, and its delimiter can not be unquoted.
pub(crate) fn marker(word: &str) -> Result<Option<Marker>, Diagnostic> {
    let Ok((_, (fd, _, dash, delimiter))) = parts(word) else { return Ok(None) };
    let mut found = shellwords::split(delimiter, false)
        .map_err(|error| Diagnostic::new(format!("failed to process {}: {error}", quote(delimiter))))?;
    let (Some(name), true) = (found.words.pop(), found.words.is_empty()) else { return Ok(None) };
    let fd = fd.parse().unwrap_or_default();
    Ok(Some(Marker { name, expand: !found.quoted, strip_tabs: dash.is_some(), fd }))
}

/// Number, `<<`, dash, delimiter.
fn parts(word: &str) -> IResult<&str, (&str, &str, Option<char>, &str)> {
    let delimiter = verify(rest, |text: &str| !text.is_empty() && !text.contains('<'));
    (digit0, tag("<<"), opt(char('-')), delimiter).parse(word)
}
