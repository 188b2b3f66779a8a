//! The walk over a word.

use std::collections::HashSet;
use std::mem;

use super::budget::Budget;
use super::error::{ExpandError, Problem};
use super::trim::{Pattern, replace};

/// Deepest nesting of `${…}`; nobody writes that, and the stack is finite.
pub(crate) const MAX_DEPTH: u32 = 64;

/// From so many names on it pays to look them up.
const MANY: usize = 16;

/// Where the values of variables come from.
pub trait Lookup {
    /// The value of `name`; None if it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

/// An expanded word, and the variables that it mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded<T> {
    /// The result.
    pub value: T,
    /// Names that had a value, in order of appearance, each once.
    pub used: Vec<String>,
    /// Names that had none, also those with a default.
    pub undefined: Vec<String>,
}

/// Expands words (spec section 2).
#[derive(Clone, Copy)]
pub struct Expander<'a> {
    lookup: &'a dyn Lookup,
    budget: Option<&'a Budget>,
    escape: char,
    quotes: bool,
}

impl std::fmt::Debug for Expander<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expander")
            .field("escape", &self.escape)
            .field("quotes", &self.quotes)
            .finish_non_exhaustive()
    }
}

impl<'a> Expander<'a> {
    /// For the words of an instruction. `escape` is the file's escape character.
    pub fn new(lookup: &'a dyn Lookup, escape: char) -> Self {
        Self { lookup, budget: None, escape, quotes: true }
    }

    /// For the bodies of heredocs: quotes are text, and the escape character is always the backslash.
    pub fn heredoc(lookup: &'a dyn Lookup) -> Self {
        Self { lookup, budget: None, escape: '\\', quotes: false }
    }

    /// Takes from a budget that other words share; otherwise each has its own.
    #[must_use]
    pub fn within(self, budget: &'a Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// Expands to one string.
    pub fn word(&self, text: &str) -> Result<Expanded<String>, ExpandError> {
        if self.is_plain(text) {
            return Ok(Expanded { value: text.to_owned(), used: Vec::new(), undefined: Vec::new() });
        }
        self.walk(text, |piece| piece.text)
    }

    /// Expands to any number of words, none of them empty.
    pub fn words(&self, text: &str) -> Result<Expanded<Vec<String>>, ExpandError> {
        self.walk(text, Piece::into_words)
    }

    fn walk<T>(&self, text: &str, result: impl FnOnce(Piece) -> T) -> Result<Expanded<T>, ExpandError> {
        let own = Budget::default();
        let mut walk = Walk::new(self, self.budget.unwrap_or(&own), text);
        match walk.until(None, false) {
            Ok(piece) => {
                Ok(Expanded { value: result(piece), used: walk.used.names, undefined: walk.undefined.names })
            }
            Err(problem) => Err(ExpandError { word: text.to_owned(), problem }),
        }
    }

    fn is_plain(&self, text: &str) -> bool {
        !text.contains(|c| c == '$' || c == self.escape || (self.quotes && (c == '"' || c == '\'')))
    }
}

/// The result of a part of a word, as one string and as words.
#[derive(Debug, Default)]
struct Piece {
    text: String,
    words: Vec<String>,
    current: String,
}

impl Piece {
    /// Text in which white space separates words.
    fn push_splitting(&mut self, text: &str) {
        self.text.push_str(text);
        for c in text.chars() {
            if !c.is_whitespace() {
                self.current.push(c);
            } else if !self.current.is_empty() {
                self.words.push(mem::take(&mut self.current));
            }
        }
    }

    /// Text that was quoted or escaped.
    fn push_whole(&mut self, text: &str) {
        self.text.push_str(text);
        self.current.push_str(text);
    }

    fn into_words(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.words.push(self.current);
        }
        self.words
    }
}

/// Names in order of appearance, each once.
#[derive(Default)]
struct Mentions {
    names: Vec<String>,
    /// The same, as soon as there are many.
    index: HashSet<String>,
}

impl Mentions {
    fn add(&mut self, name: &str) {
        let known = match self.index.is_empty() {
            true => self.names.iter().any(|known| known == name),
            false => !self.index.insert(name.to_owned()),
        };
        if !known {
            self.names.push(name.to_owned());
            if self.names.len() == MANY {
                self.index.extend(self.names.iter().cloned());
            }
        }
    }
}

struct Walk<'a> {
    expander: &'a Expander<'a>,
    budget: &'a Budget,
    rest: &'a str,
    /// Escape characters stay in the result, for a pattern to interpret.
    raw: bool,
    depth: u32,
    used: Mentions,
    undefined: Mentions,
}

impl<'a> Walk<'a> {
    fn new(expander: &'a Expander<'a>, budget: &'a Budget, text: &'a str) -> Self {
        let (used, undefined) = (Mentions::default(), Mentions::default());
        Self { expander, budget, rest: text, raw: false, depth: 0, used, undefined }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Up to `stop`, which is consumed; None stands for the end of the word.
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<Piece, Problem> {
        if self.depth > MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        self.depth += 1;
        let outer = mem::replace(&mut self.raw, raw);
        let result = self.until_inner(stop);
        self.raw = outer;
        self.depth -= 1;
        result
    }

    fn until_inner(&mut self, stop: Option<char>) -> Result<Piece, Problem> {
        let mut piece = Piece::default();
        while let Some(c) = self.next() {
            match c {
                c if Some(c) == stop => return Ok(piece),
                '$' => {
                    let (value, operator) = self.dollar()?;
                    if operator {
                        // BuildKit loses what stands before an operator when it splits into words; see 2.2.
                        piece.current.clear();
                    }
                    piece.push_splitting(&value);
                }
                '\'' if self.expander.quotes => {
                    let quoted = self.single_quoted()?;
                    piece.push_whole(quoted);
                }
                '"' if self.expander.quotes => {
                    let quoted = self.double_quoted()?;
                    piece.push_whole(&quoted);
                }
                c if c == self.expander.escape => {
                    if self.raw {
                        piece.push_whole(c.encode_utf8(&mut [0; 4]));
                    }
                    if let Some(c) = self.next() {
                        piece.push_whole(c.encode_utf8(&mut [0; 4]));
                    }
                }
                c => piece.push_splitting(c.encode_utf8(&mut [0; 4])),
            }
        }
        match stop {
            // Every caller turns this into what it misses.
            Some(_) => Err(Problem::MissingBrace),
            None => Ok(piece),
        }
    }

    fn single_quoted(&mut self) -> Result<&'a str, Problem> {
        let Some((inside, rest)) = self.rest.split_once('\'') else {
            self.rest = "";
            return Err(Problem::OpenQuote("single-quote"));
        };
        self.rest = rest;
        Ok(inside)
    }

    fn double_quoted(&mut self) -> Result<String, Problem> {
        let mut out = String::new();
        loop {
            match self.next() {
                None => return Err(Problem::OpenQuote("double-quote")),
                Some('"') => return Ok(out),
                Some('$') => out.push_str(&self.dollar()?.0),
                Some(c) if c == self.expander.escape => match self.peek() {
                    None => {}
                    Some(next) if next == '"' || next == '$' || next == c => {
                        if self.raw {
                            out.push(c);
                        }
                        out.push(next);
                        self.next();
                    }
                    Some(_) => out.push(c),
                },
                Some(c) => out.push(c),
            }
        }
    }

    /// What follows a `$`: the value, and whether an operator made it.
    fn dollar(&mut self) -> Result<(String, bool), Problem> {
        if self.peek() != Some('{') {
            let name = self.name();
            let value = if name.is_empty() { "$" } else { self.value(name)?.unwrap_or("") };
            return Ok((value.to_owned(), false));
        }
        self.next();
        match self.peek() {
            None => return Err(Problem::MissingBrace),
            Some('{' | '}' | ':') => return Err(Problem::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            Some('}') => Ok((self.value(name)?.unwrap_or("").to_owned(), false)),
            Some(':') => {
                let operator = self.next();
                if matches!(operator, Some('#' | '%')) {
                    return Err(unsupported(":", operator));
                }
                self.conditional(name, operator, true).map(|value| (value, true))
            }
            operator @ Some('-' | '+' | '?') => {
                self.conditional(name, operator, false).map(|value| (value, true))
            }
            Some(operator @ ('#' | '%')) => self.trimmed(name, operator).map(|value| (value, true)),
            Some('/') => self.replaced(name).map(|value| (value, true)),
            other => Err(unsupported("", other)),
        }
    }

    fn name(&mut self) -> &'a str {
        let rest = self.rest;
        let end = match rest.chars().next() {
            Some(c) if c.is_numeric() => rest.find(|c: char| !c.is_numeric()).unwrap_or(rest.len()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len()),
        };
        self.rest = &rest[end..];
        &rest[..end]
    }

    fn value(&mut self, name: &str) -> Result<Option<&'a str>, Problem> {
        let value = self.expander.lookup.get(name);
        let seen = if value.is_some() { &mut self.used } else { &mut self.undefined };
        seen.add(name);
        self.budget.spend(value.map_or(0, str::len))?;
        Ok(value)
    }

    /// The text of an operator, up to the closing brace.
    fn operand(&mut self, stop: char, raw: bool, missing: Problem) -> Result<String, Problem> {
        match self.until(Some(stop), raw) {
            Ok(piece) => Ok(piece.text),
            Err(_) if self.rest.is_empty() => Err(missing),
            Err(problem) => Err(problem),
        }
    }

    fn conditional(&mut self, name: &str, operator: Option<char>, colon: bool) -> Result<String, Problem> {
        let word = self.operand('}', false, Problem::MissingBrace)?;
        let value = self.value(name)?;
        let usable = value.filter(|value| !(colon && value.is_empty()));
        match operator {
            Some('-') => Ok(usable.map_or(word, str::to_owned)),
            Some('+') => Ok(if usable.is_some() { word } else { String::new() }),
            Some('?') => usable.map(str::to_owned).ok_or_else(|| {
                let default =
                    if value.is_some() { "is not allowed to be empty" } else { "is not allowed to be unset" };
                let message = if word.is_empty() { default.to_owned() } else { word };
                Problem::Required { name: name.to_owned(), message }
            }),
            other => Err(unsupported(":", other)),
        }
    }

    fn trimmed(&mut self, name: &str, operator: char) -> Result<String, Problem> {
        let word = self.operand('}', true, Problem::MissingBrace)?;
        let value = self.value(name)?.unwrap_or("");
        let (pattern, longest) = word.strip_prefix(operator).map_or((&*word, false), |longer| (longer, true));
        let pattern = Pattern::new(pattern)?;
        self.budget.spend(pattern.steps(value))?;
        Ok(if operator == '#' {
            pattern.trim_start(value, longest)
        } else {
            pattern.trim_end(value, longest)
        })
    }

    fn replaced(&mut self, name: &str) -> Result<String, Problem> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.operand('/', true, Problem::MissingSlash)?;
        let with = self.operand('}', true, Problem::MissingBrace)?;
        let value = self.value(name)?.unwrap_or("");
        let pattern = Pattern::new(&pattern)?;
        self.budget.spend(pattern.steps(value))?;
        let matches = pattern.matches(value, all);
        self.budget.spend(matches.len().saturating_mul(with.len()))?;
        Ok(replace(value, &matches, &with))
    }
}

fn unsupported(before: &str, found: Option<char>) -> Problem {
    Problem::Modifier(format!("{before}{}", found.unwrap_or(char::REPLACEMENT_CHARACTER)))
}
