//! The pattern language of `${n#p}`, `${n%p}` and `${n/p/r}`: `*`, `?` and backslash escapes, no brackets.
//!
//! Matching follows all positions of the pattern at once, so that it takes time proportional to text times
//! pattern, whatever the pattern.

use super::error::Problem;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Any run of characters other than newline.
    Star,
    /// One character other than newline.
    One,
    Literal(char),
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    /// Compiles `text`. The escape character is always the backslash, whatever the file says.
    pub(super) fn new(text: &str) -> Result<Self, Problem> {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::One,
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Token::Literal(c),
                    other => {
                        let escape = std::iter::once('\\').chain(other).collect();
                        return Err(Problem::Pattern { pattern: text.to_owned(), escape });
                    }
                },
                c => Token::Literal(c),
            });
        }
        Ok(Self(tokens))
    }

    /// `value` without its shortest or longest beginning that matches.
    pub(super) fn trim_start(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        self.match_end(&chars, longest).map_or_else(|| value.to_owned(), |end| chars[end..].iter().collect())
    }

    /// `value` without its shortest or longest end that matches.
    pub(super) fn trim_end(&self, value: &str, longest: bool) -> String {
        let backwards = Self(self.0.iter().rev().copied().collect());
        let chars: Vec<char> = value.chars().rev().collect();
        match backwards.match_end(&chars, longest) {
            Some(end) => chars[end..].iter().rev().collect(),
            None => value.to_owned(),
        }
    }

    /// `value` with the first match, or every match, replaced. Matches are leftmost and longest; an empty match
    /// directly behind another one does not count.
    pub(super) fn replace(&self, value: &str, with: &str, all: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::with_capacity(value.len());
        let (mut at, mut last_end) = (0, None);
        while at <= chars.len() {
            let found = self.match_end(&chars[at..], true).map(|length| at + length);
            match found {
                Some(end) if end > at || last_end != Some(at) => {
                    out.push_str(with);
                    last_end = Some(end);
                    if !all {
                        out.extend(&chars[end..]);
                        return out;
                    }
                    if end == at {
                        out.extend(chars.get(at));
                        at += 1;
                    } else {
                        at = end;
                    }
                }
                _ => {
                    out.extend(chars.get(at));
                    at += 1;
                }
            }
        }
        out
    }

    /// How many characters a match at the start of `text` takes.
    fn match_end(&self, text: &[char], longest: bool) -> Option<usize> {
        let accept = self.0.len();
        let mut live = vec![false; accept + 1];
        live[0] = true;
        let mut found = None;
        for position in 0..=text.len() {
            for state in 0..accept {
                if live[state] && self.0[state] == Token::Star {
                    live[state + 1] = true;
                }
            }
            if live[accept] {
                found = Some(position);
                if !longest {
                    return found;
                }
            }
            let Some(&c) = text.get(position) else { break };
            if !live.contains(&true) {
                break;
            }
            // From the back, so that a state that was just entered is not moved on again.
            for state in (0..=accept).rev() {
                let entered = state > 0
                    && live[state - 1]
                    && match self.0[state - 1] {
                        Token::Star => false,
                        Token::One => c != '\n',
                        Token::Literal(l) => l == c,
                    };
                let stays = live[state] && state < accept && self.0[state] == Token::Star && c != '\n';
                live[state] = entered || stays;
            }
        }
        found
    }
}
