//! The pattern language of `${n#p}`, `${n%p}` and `${n/p/r}`: `*`, `?` and backslash escapes, no brackets.
//!
//! Matching follows all positions of the pattern at once, so that it takes time proportional to text times
//! pattern, whatever the pattern.

use std::ops::Range;

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

    /// At most how many steps it takes to find the matches in `value`.
    pub(super) fn steps(&self, value: &str) -> usize {
        (self.0.len() + 1).saturating_mul(value.len() + 1)
    }

    /// The first match, or every match: leftmost and longest. An empty match directly behind another one does not
    /// count.
    pub(super) fn matches(&self, value: &str, all: bool) -> Vec<Range<usize>> {
        let chars: Vec<char> = value.chars().collect();
        let mut matches: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while let Some(found) = self.find(&chars, at) {
            at = found.end.max(found.start + 1);
            if found.is_empty() && matches.last().is_some_and(|last| last.end == found.start) {
                continue;
            }
            matches.push(found);
            if !all {
                break;
            }
        }
        matches
    }

    /// The leftmost match that begins at `from` or behind it, and of those the longest.
    ///
    /// A match with a star in it takes all that it can of its line, so that nothing can match again in what remains of
    /// the line; that is why looking for one match after the other reads no line more than twice.
    fn find(&self, text: &[char], from: usize) -> Option<Range<usize>> {
        let accept = self.0.len();
        // For each state the first character of the leftmost match that has come so far.
        let mut live = vec![None::<usize>; accept + 1];
        let mut found: Option<Range<usize>> = None;
        for position in from..=text.len() {
            match &found {
                None => live[0] = live[0].or(Some(position)),
                Some(best) => {
                    live.iter_mut().for_each(|each| *each = each.filter(|start| *start <= best.start));
                }
            }
            for state in 0..accept {
                if self.0[state] == Token::Star {
                    live[state + 1] = earlier(live[state], live[state + 1]);
                }
            }
            if let Some(start) = live[accept] {
                found = Some(start..position);
            }
            let Some(&c) = text.get(position) else { break };
            if found.is_some() && live.iter().all(Option::is_none) {
                break;
            }
            self.step(&mut live, c);
        }
        found
    }

    fn step(&self, live: &mut [Option<usize>], c: char) {
        // From the back, so that a state that was just entered is not moved on again.
        for state in (0..live.len()).rev() {
            let entered = match state.checked_sub(1).map(|before| (before, self.0[before])) {
                Some((before, Token::One)) if c != '\n' => live[before],
                Some((before, Token::Literal(literal))) if literal == c => live[before],
                _ => None,
            };
            let stays = live[state].filter(|_| self.0.get(state) == Some(&Token::Star) && c != '\n');
            live[state] = earlier(entered, stays);
        }
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

fn earlier(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// `value` with something else in place of the matches, which are counted in characters.
pub(super) fn replace(value: &str, matches: &[Range<usize>], with: &str) -> String {
    let mut out = String::with_capacity(value.len() + matches.len() * with.len());
    let mut chars = value.chars();
    let mut at = 0;
    for found in matches {
        out.extend(chars.by_ref().take(found.start - at));
        out.push_str(with);
        for _ in found.clone() {
            chars.next();
        }
        at = found.end;
    }
    out.push_str(chars.as_str());
    out
}
