//! Go's `path.Match`.

use super::class::{Class, first_char};

/// A pattern that does not follow the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Whether COPY takes `text` for a pattern: it contains `*`, `?` or `[` that no backslash precedes.
pub fn has_wildcard(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// Matches the whole of `path`. `*` and `?` never match a slash; `**` is no more than `*`.
///
/// # Errors
/// A malformed pattern is an error even where the match is decided before its malformed part.
pub fn path_match(pattern: &str, path: &[u8]) -> Result<bool, BadPattern> {
    let parts = parse(pattern)?;
    // Where to go on when a literal fails: behind the last star, one more character for it. Earlier stars need
    // no second try, because none of them can cross a slash and the last one takes as little as it can.
    let mut retry: Option<(usize, usize)> = None;
    let (mut part, mut at) = (0, 0);
    loop {
        let step = match parts.get(part) {
            None if at == path.len() => return Ok(true),
            None => None,
            Some(Part::Star) => {
                part += 1;
                retry = Some((part, at));
                continue;
            }
            Some(single) => first_char(&path[at..]).filter(|&(c, _)| single.matches(c)),
        };
        if let Some((_, length)) = step {
            part += 1;
            at += length;
            continue;
        }
        let Some((behind, from)) = retry else { return Ok(false) };
        match first_char(&path[from..]) {
            Some((c, length)) if c != '/' => {
                retry = Some((behind, from + length));
                (part, at) = (behind, from + length);
            }
            _ => return Ok(false),
        }
    }
}

enum Part {
    Star,
    One,
    Literal(char),
    Class(Class),
}

impl Part {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::One => c != '/',
            Self::Literal(literal) => *literal == c,
            Self::Class(class) => class.contains(c) && c != '/',
        }
    }
}

fn parse(pattern: &str) -> Result<Vec<Part>, BadPattern> {
    let mut chars = pattern.chars().peekable();
    let mut parts = Vec::new();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' => Part::Star,
            '?' => Part::One,
            '\\' => Part::Literal(chars.next().ok_or(BadPattern)?),
            '[' => Part::Class(class(&mut chars)?),
            c => Part::Literal(c),
        });
    }
    Ok(parts)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn class(chars: &mut Chars<'_>) -> Result<Class, BadPattern> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Class { negated, ranges });
        }
        let first = class_char(chars)?;
        let last = if chars.next_if_eq(&'-').is_some() { class_char(chars)? } else { first };
        ranges.push((first, last));
    }
}

fn class_char(chars: &mut Chars<'_>) -> Result<char, BadPattern> {
    match chars.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => chars.next().ok_or(BadPattern),
        Some(c) => Ok(c),
    }
}

/// Whether `pattern` follows the grammar.
pub(super) fn validate(pattern: &str) -> Result<(), BadPattern> {
    parse(pattern).map(drop)
}
