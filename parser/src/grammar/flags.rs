//! `--flag=value` in front of the arguments.

use crate::diagnostic::Diagnostic;
use crate::instruction::Escape;
use crate::lines::Logical;
use crate::source::{Spanned, Text};
use crate::suggest::with_suggestion;

/// A flag as the lexer sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flag<'l> {
    /// Without quotes and escapes, `--` included.
    pub(crate) text: String,
    /// As written.
    pub(crate) raw: &'l str,
}

/// Takes flags from the front of the text; what remains are the arguments. A lone `--` ends the flags.
pub(crate) fn extract(text: &str, escape: Escape) -> (Vec<Flag<'_>>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, length) = unquote(rest, escape);
        let (raw, tail) = rest.split_at(length);
        rest = tail.trim_start();
        if word == "--" {
            break;
        }
        flags.push(Flag { text: word, raw });
    }
    (flags, rest)
}

/// Reads one word, without its quotes and escapes, and tells how long it was with them.
fn unquote(text: &str, escape: Escape) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            return (word, at);
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
        } else if c == escape.char() {
            word.extend(chars.next().map(|(_, escaped)| escaped));
        } else {
            word.push(c);
        }
    }
    (word, text.len())
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// `true`, `false` or nothing.
    Bool,
    /// Any text.
    Text,
    /// Any text, and the flag can be repeated.
    List,
}

/// The checked flags of one instruction.
#[derive(Debug)]
pub(crate) struct Flags {
    values: Vec<(&'static str, Spanned<Text>)>,
}

impl Flags {
    /// Checks that only allowed flags are there, and that they have the values they take. `allowed` is in
    /// alphabetical order, which decides between equally near suggestions.
    pub(crate) fn check(
        line: &Logical<'_>,
        flags: &[Flag<'_>],
        allowed: &[(&'static str, Takes)],
    ) -> Result<Self, Diagnostic> {
        let mut checked = Self { values: Vec::new() };
        for flag in flags {
            checked.add(line, flag, allowed).map_err(|error| error.at(line.span(flag.raw)))?;
        }
        Ok(checked)
    }

    fn add(
        &mut self,
        line: &Logical<'_>,
        flag: &Flag<'_>,
        allowed: &[(&'static str, Takes)],
    ) -> Result<(), Diagnostic> {
        let text = flag.text.strip_prefix("--").unwrap_or(&flag.text);
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let Some((name, takes)) = allowed.iter().copied().find(|(known, _)| *known == name) else {
            let names = allowed.iter().map(|(known, _)| *known);
            return Err(Diagnostic::new(with_suggestion(
                format!("unknown flag: --{name}"),
                name,
                names,
                true,
            )));
        };
        if takes != Takes::List && self.values.iter().any(|(used, _)| *used == name) {
            return Err(Diagnostic::new(format!("duplicate flag specified: --{name}")));
        }
        let missing = || Diagnostic::new(format!("missing a value on flag: --{name}"));
        let value = match (takes, value) {
            (Takes::Bool, value) => boolean(name, value, missing)?,
            (_, value) => value.ok_or_else(missing)?.into(),
        };
        self.values.push((name, Spanned::new(value, line.span(flag.raw))));
        Ok(())
    }

    /// The value of a flag; its place is that of the whole flag.
    pub(crate) fn text(&self, name: &str) -> Option<Spanned<Text>> {
        self.values.iter().find(|(used, _)| *used == name).map(|(_, value)| value.clone())
    }

    /// The value of a [`Takes::Bool`] flag.
    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value.value == "true")
    }

    /// The values of a [`Takes::List`] flag.
    pub(crate) fn list(&self, name: &str) -> Vec<Spanned<Text>> {
        self.values.iter().filter(|(used, _)| *used == name).map(|(_, value)| value.clone()).collect()
    }
}

fn boolean(name: &str, value: Option<&str>, missing: impl Fn() -> Diagnostic) -> Result<Text, Diagnostic> {
    let lower = value.map(str::to_lowercase);
    match lower.as_deref() {
        None => Ok("true".into()),
        Some("") => Err(missing()),
        Some(known @ ("true" | "false")) => Ok(known.into()),
        Some(_) => Err(Diagnostic::new(format!(
            "expecting boolean value for flag --{name}, not: {}",
            value.unwrap_or_default()
        ))),
    }
}
