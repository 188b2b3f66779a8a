//! Splitting arguments into words.

use nom::bytes::complete::{take_till1, take_while1};
use nom::multi::separated_list0;
use nom::{IResult, Parser};

use crate::instruction::Escape;

/// What separates words outside of ENV, LABEL and ARG: not every blank that Unicode knows.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Splits at runs of blanks; quotes mean nothing. Blanks at the ends have to be gone already.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let words: IResult<&str, Vec<&str>> =
        separated_list0(take_while1(is_blank), take_till1(is_blank)).parse(text);
    words.map_or_else(|_| Vec::new(), |(_, words)| words)
}

/// Splits once, at the first run of blanks.
pub(crate) fn split_once(text: &str) -> Option<(&str, &str)> {
    let (head, tail) = text.split_at(text.find(is_blank)?);
    Some((head, tail.trim_start_matches(is_blank)))
}

/// Splits at white space outside of quotes. The words keep their quotes and escapes; an escape character at
/// the very end of the text is dropped.
pub(crate) fn quoted(text: &str, escape: Escape) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let (word, length) = quoted_word(rest, escape.char());
        rest = &rest[length..];
        (!word.is_empty()).then_some(word)
    })
}

/// The word that a text begins with, and how much of the text it takes.
fn quoted_word(text: &str, escape: char) -> (&str, usize) {
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == escape && quote != Some('\'') {
            // In quotes, too, the escaped character can not end them.
            if chars.next().is_none() {
                return (&text[..at], text.len());
            }
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() {
            if c.is_whitespace() {
                return (&text[..at], at);
            } else if c == '\'' || c == '"' {
                quote = Some(c);
            }
        }
    }
    (text, text.len())
}
