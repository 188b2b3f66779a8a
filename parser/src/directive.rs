//! Parser directives: `# syntax=`, `# escape=`, `# check=`.
//!
//! BuildKit reads them twice, with different rules. The lexer's [`Machine`] takes any of them until the first
//! line that is none, indented or not, and uses `escape` only. [`scan`] looks for `syntax` and `check`: a first
//! line `#!` does not matter to it, but indentation does, and a value ends at its first space.

use nom::character::complete::{alphanumeric0, char, multispace0, satisfy};
use nom::combinator::{recognize, rest};
use nom::sequence::{delimited, pair};
use nom::{IResult, Parser};

use crate::diagnostic::Diagnostic;
use crate::instruction::{Directives, Escape};
use crate::source::{LineRange, Source, Span, Spanned, Text, offset};

/// The names, and their bit in [`Machine::seen`].
const NAMES: [&str; 3] = ["syntax", "escape", "check"];

/// What the lexer knows about directives.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    done: bool,
    seen: [bool; NAMES.len()],
    pub(crate) escape: Option<Spanned<Escape>>,
}

/// What a line that begins with `#` turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Directive,
    Comment,
}

impl Machine {
    /// Tells it that there was a line without `#`.
    pub(crate) fn finish(&mut self) {
        self.done = true;
    }

    /// Shows it a line that begins with `#`.
    pub(crate) fn offer(&mut self, line: &str, span: impl Fn(&str) -> Span) -> Result<Seen, Diagnostic> {
        let found = if self.done { None } else { directive(line, "#") };
        let Some((name, value)) = found else {
            self.done = true;
            return Ok(Seen::Comment);
        };
        let index = NAMES.iter().position(|known| *known == name).unwrap_or_default();
        if std::mem::replace(&mut self.seen[index], true) {
            // BuildKit reports this at the first line, wherever it is.
            let error = Diagnostic::new(format!("only one {name} parser directive can be used"));
            return Err(error.at_lines(LineRange::line(1)).at(span(line)));
        }
        if name == "escape" {
            self.escape = Some(Spanned::new(escape(value, &span)?, span(value)));
        }
        Ok(Seen::Directive)
    }
}

fn escape(value: &str, span: impl Fn(&str) -> Span) -> Result<Escape, Diagnostic> {
    match value {
        "\\" => Ok(Escape::Backslash),
        "`" => Ok(Escape::Backtick),
        _ => {
            let message = format!("invalid escape token '{value}' does not match ` or \\");
            Err(Diagnostic::new(message).at(span(value)))
        }
    }
}

/// Finds the values of `syntax` and `check`.
pub(crate) fn scan(source: &Source<'_>) -> Directives {
    let text = source.text();
    let mut body = text.strip_prefix('\u{feff}').unwrap_or(text);
    if body.starts_with("#!") {
        // A part of the text even if nothing is left of it: places are counted from there.
        body = body.find('\n').map_or(&body[body.len()..], |end| &body[end + 1..]);
    }
    let span = |part: &str| {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        Span { start: offset(start), end: offset(start + part.len()) }
    };
    let cut = |value: &str| {
        let value = value.split(' ').next().unwrap_or_default();
        Spanned::new(value.into(), span(value))
    };
    let mut found = Directives::default();
    let mut seen = Vec::new();
    for (name, value) in directives(body, "#") {
        // A repeated directive ends the scan here and is an error of the lexer's.
        if seen.contains(&name) {
            break;
        }
        seen.push(name);
        match name {
            "syntax" => found.syntax = Some(cut(value)),
            "check" => found.check = Some(cut(value)),
            _ => {}
        }
    }
    let slashes = || directives(body, "//").find(|(name, _)| *name == "syntax");
    if found.syntax.is_none() {
        found.syntax = slashes().map(|(_, value)| cut(value)).or_else(|| json_syntax(body, span(body)));
    }
    found
}

/// A file can also be a JSON object, for a frontend that understands that.
fn json_syntax(body: &str, span: Span) -> Option<Spanned<Text>> {
    if !body.trim_start().starts_with('{') {
        return None;
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).ok()?;
    Some(Spanned::new(object.get("syntax")?.as_str()?.into(), span))
}

/// The directives at the beginning of a text.
fn directives<'t>(text: &'t str, comment: &str) -> impl Iterator<Item = (&'static str, &'t str)> {
    text.lines().map_while(move |line| directive(line, comment))
}

/// `# name = value`
fn directive<'t>(line: &'t str, comment: &str) -> Option<(&'static str, &'t str)> {
    let (name, value) = assignment(line.strip_prefix(comment)?.trim_start()).ok()?.1;
    let name = NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
    let value = value.trim_end_matches([' ', '\t', '\n', '\r', '\u{c}']);
    (!value.is_empty()).then_some((name, value))
}

fn assignment(line: &str) -> IResult<&str, (&str, &str)> {
    let name = recognize(pair(satisfy(|first| first.is_ascii_alphabetic()), alphanumeric0));
    pair(name, pair(delimited(multispace0, char('='), multispace0), rest).map(|(_, value)| value)).parse(line)
}
