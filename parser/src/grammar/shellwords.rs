//! Splitting a line into words as a shell would, to find heredocs in it. No variable is expanded, the escape
//! character is always `\`.

use crate::expand::MAX_DEPTH;

/// The words of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) words: Vec<String>,
    /// Whether any quotes were found (and, if not raw, removed).
    pub(crate) quoted: bool,
}

/// Splits; with `raw`, quotes and backslashes stay in the words.
///
/// # Errors
/// A quote or brace that is not closed, or a malformed `${`, in BuildKit's words.
pub(crate) fn split(text: &str, raw: bool) -> Result<Words, String> {
    let mut lexer = Lexer { rest: text, raw, quoted: false };
    let mut sink = Sink::default();
    lexer.run(None, raw, &mut sink, 0)?;
    Ok(Words { words: sink.finish(), quoted: lexer.quoted })
}

#[derive(Default)]
struct Sink {
    words: Vec<String>,
    word: String,
}

impl Sink {
    fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

struct Lexer<'t> {
    rest: &'t str,
    raw: bool,
    quoted: bool,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Reads up to `stop`, which is consumed, or to the end.
    fn run(&mut self, stop: Option<char>, keep: bool, sink: &mut Sink, depth: u32) -> Result<(), String> {
        while let Some(c) = self.next() {
            match c {
                _ if Some(c) == stop => return Ok(()),
                '\'' => self.single(&mut sink.word)?,
                '"' => self.double(&mut sink.word, depth)?,
                '$' => self.dollar(depth)?.chars().for_each(|c| sink.push(c)),
                '<' => self.angle(&mut sink.word),
                '\\' => {
                    if keep {
                        sink.word.push(c);
                    }
                    sink.word.extend(self.next());
                }
                _ => sink.push(c),
            }
        }
        match stop {
            None => Ok(()),
            Some(stop) => Err(format!("unexpected end of statement while looking for matching {stop}")),
        }
    }

    fn single(&mut self, word: &mut String) -> Result<(), String> {
        self.quoted = true;
        let Some(end) = self.rest.find('\'') else {
            return Err("unexpected end of statement while looking for matching single-quote".to_owned());
        };
        let (inside, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        if self.raw {
            word.extend(["'", inside, "'"]);
        } else {
            word.push_str(inside);
        }
        Ok(())
    }

    fn double(&mut self, word: &mut String, depth: u32) -> Result<(), String> {
        self.quoted = true;
        if self.raw {
            word.push('"');
        }
        while let Some(c) = self.next() {
            match c {
                '"' => {
                    if self.raw {
                        word.push('"');
                    }
                    return Ok(());
                }
                '$' => word.push_str(&self.dollar(depth)?),
                '\\' => {
                    let escaped = self.next();
                    if self.raw || !matches!(escaped, Some('"' | '$' | '\\')) {
                        word.push('\\');
                    }
                    word.extend(escaped);
                }
                _ => word.push(c),
            }
        }
        Err("unexpected end of statement while looking for matching double-quote".to_owned())
    }

    /// `<<` and `<<-` take the blanks behind them into their word.
    fn angle(&mut self, word: &mut String) {
        word.push('<');
        if let Some(rest) = self.rest.strip_prefix('<') {
            let delimiter = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches([' ', '\t', '\r']);
            word.push('<');
            word.push_str(&rest[..rest.len() - delimiter.len()]);
            self.rest = delimiter;
        }
    }

    /// What follows a `$`: a variable, which stays as it is, or nothing special.
    fn dollar(&mut self, depth: u32) -> Result<String, String> {
        if self.peek() != Some('{') {
            return Ok(format!("${}", self.name()));
        }
        self.next();
        match self.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        let mut text = format!("${{{}", self.name());
        let mut operator: String = self.next().into_iter().collect();
        if operator == ":" {
            operator.extend(self.next());
        }
        text.push_str(&operator);
        match operator.as_str() {
            "}" => return Ok(text),
            ":+" | ":-" | ":?" | "+" | "-" | "?" => text.push_str(&self.word('}', self.raw, depth)?),
            "#" | "%" => text.push_str(&self.word('}', true, depth)?),
            "/" => {
                if self.peek() == Some('/') {
                    self.next();
                }
                let pattern = self.word('/', true, depth)?;
                text.extend([pattern.as_str(), "/", &self.word('}', true, depth)?]);
            }
            _ => return Err(format!("unsupported modifier ({operator}) in substitution")),
        }
        text.push('}');
        Ok(text)
    }

    fn word(&mut self, stop: char, keep: bool, depth: u32) -> Result<String, String> {
        if depth == MAX_DEPTH {
            return Err("substitutions are nested too deeply".to_owned());
        }
        let start = self.rest;
        let mut sink = Sink::default();
        match self.run(Some(stop), keep, &mut sink, depth + 1) {
            // Splitting is for whoever asked for the variable.
            Ok(()) if self.raw => Ok(start[..start.len() - self.rest.len() - 1].to_owned()),
            Ok(()) => Ok(sink.finish().join(" ")),
            Err(_) if self.rest.is_empty() => Err("syntax error: missing '}'".to_owned()),
            Err(error) => Err(error),
        }
    }

    fn name(&mut self) -> String {
        let first = self.peek();
        let length = match first {
            Some(c) if c.is_alphabetic() || c == '_' => {
                self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))
            }
            Some(c) if c.is_ascii_digit() => self.rest.find(|c: char| !c.is_ascii_digit()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => Some(1),
            _ => Some(0),
        };
        let (name, rest) = self.rest.split_at(length.unwrap_or(self.rest.len()));
        self.rest = rest;
        name.to_owned()
    }
}
