//! One pattern of an ignore file.
//!
//! Most patterns are a literal, a prefix or a suffix, and are matched as such. The others become a list of
//! tokens, and all positions of the list are followed at once.

use std::mem;

use super::class::{Class, first_char};
use super::glob::BadPattern;

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) exclusion: bool,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Exact(Vec<u8>),
    /// A literal and `**`: everything that starts like that, even in the middle of a name.
    Prefix(Vec<u8>),
    /// `**` and a literal.
    Suffix(Vec<u8>),
    Tokens {
        tokens: Vec<Token>,
        prefix: Vec<u8>,
        suffix: Vec<u8>,
    },
    /// A wildcard inside brackets, which the translation to a regular expression garbles.
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Run,
    /// `**/`: any number of directories. It may match nothing, or something that ends in a slash.
    Directories,
    /// The inside of a [`Token::Directories`], which always follows it.
    InDirectories,
    /// `**` at the end.
    Rest,
    Class(Class),
}

impl Pattern {
    /// Compiles a cleaned pattern.
    pub(super) fn new(cleaned: &str, exclusion: bool) -> Result<Self, BadPattern> {
        Ok(Self { exclusion, kind: compile(cleaned)? })
    }

    /// Whether this very path matches; parents are the caller's business.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        match &self.kind {
            Kind::Exact(literal) => path == literal,
            Kind::Prefix(prefix) => path.starts_with(prefix),
            Kind::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path),
            Kind::Tokens { tokens, prefix, suffix } => {
                path.starts_with(prefix) && path.ends_with(suffix) && {
                    let live = follow(tokens, path);
                    live.last() == Some(&true)
                }
            }
            Kind::Never => false,
        }
    }

    /// Whether some path below the directory `dir` could match. May say yes too often, never no.
    pub(super) fn could_match_below(&self, dir: &[u8]) -> bool {
        let mut below = dir.to_vec();
        below.push(b'/');
        match &self.kind {
            Kind::Exact(literal) => literal.starts_with(&below),
            Kind::Prefix(prefix) => prefix.starts_with(&below) || below.starts_with(prefix),
            Kind::Suffix(_) => true,
            Kind::Tokens { tokens, .. } => follow(tokens, &below).contains(&true),
            Kind::Never => false,
        }
    }
}

/// The positions in `tokens` that are reached when all of `path` is read; the last one means a match.
fn follow(tokens: &[Token], path: &[u8]) -> Vec<bool> {
    let mut live = vec![false; tokens.len() + 1];
    let mut next = live.clone();
    live[0] = true;
    skip_empty(tokens, &mut live);
    let mut rest = path;
    while let Some((c, length)) = first_char(rest) {
        rest = &rest[length..];
        next.fill(false);
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| live[*at]) {
            match token {
                Token::Literal(literal) => next[at + 1] |= *literal == c,
                Token::One => next[at + 1] |= c != '/',
                Token::Class(class) => next[at + 1] |= class.contains(c),
                Token::Run => next[at] |= c != '/',
                Token::Rest => next[at] = true,
                Token::Directories => {}
                Token::InDirectories => {
                    next[at] = true;
                    next[at + 1] |= c == '/';
                }
            }
        }
        mem::swap(&mut live, &mut next);
        skip_empty(tokens, &mut live);
        if !live.contains(&true) {
            break;
        }
    }
    live
}

/// Goes on from positions whose token may match nothing.
fn skip_empty(tokens: &[Token], live: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        if live[at] {
            match token {
                Token::Run | Token::Rest => live[at + 1] = true,
                Token::Directories => {
                    live[at + 1] = true;
                    live[at + 2] = true;
                }
                _ => {}
            }
        }
    }
}

fn compile(pattern: &str) -> Result<Kind, BadPattern> {
    if let Some(kind) = simple(pattern) {
        return Ok(kind);
    }
    let mut tokens = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_none() {
                    tokens.push(Token::Rest);
                } else {
                    tokens.extend([Token::Directories, Token::InDirectories]);
                }
            }
            '*' => tokens.push(Token::Run),
            '?' => tokens.push(Token::One),
            '\\' => tokens.push(Token::Literal(chars.next().ok_or(BadPattern)?)),
            '[' => match class(&mut chars)? {
                Some(class) => tokens.push(Token::Class(class)),
                None => return Ok(Kind::Never),
            },
            c => tokens.push(Token::Literal(c)),
        }
    }
    let prefix = literals(tokens.iter());
    let mut suffix: Vec<char> = literals(tokens.iter().rev()).chars().collect();
    suffix.reverse();
    let suffix: String = suffix.into_iter().collect();
    Ok(Kind::Tokens { prefix: prefix.into_bytes(), suffix: suffix.into_bytes(), tokens })
}

fn literals<'a>(tokens: impl Iterator<Item = &'a Token>) -> String {
    tokens.map_while(|token| if let Token::Literal(c) = token { Some(*c) } else { None }).collect()
}

/// The patterns that need no tokens.
fn simple(pattern: &str) -> Option<Kind> {
    let literal = |text: &str| !text.contains(['*', '?', '[', ']', '\\']);
    if literal(pattern) {
        return Some(Kind::Exact(pattern.into()));
    }
    if let Some(suffix) = pattern.strip_prefix("**")
        && literal(suffix)
    {
        return Some(Kind::Suffix(suffix.into()));
    }
    let prefix = pattern.strip_suffix("**")?;
    literal(prefix).then(|| Kind::Prefix(prefix.into()))
}

/// The class after `[`; None if it can match nothing.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<Class>, BadPattern> {
    let negated = chars.next_if_eq(&'^').is_some();
    let (mut ranges, mut garbled) = (Vec::new(), false);
    loop {
        let c = chars.next().ok_or(BadPattern)?;
        let first = match c {
            ']' if !ranges.is_empty() => break,
            '\\' => chars.next().ok_or(BadPattern)?,
            c => {
                garbled |= matches!(c, '*' | '?');
                c
            }
        };
        let mut last = first;
        if chars.peek() == Some(&'-') && chars.clone().nth(1).is_some_and(|c| c != ']') {
            chars.next();
            last = chars.next().ok_or(BadPattern)?;
            if last == '\\' {
                last = chars.next().ok_or(BadPattern)?;
            }
        }
        ranges.push((first, last));
    }
    Ok((!garbled).then_some(Class { negated, ranges }))
}
