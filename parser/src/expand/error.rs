//! What can be wrong with a word.

use crate::go::quote;

/// A word that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {}: {problem}", quote(.word))]
pub struct ExpandError {
    /// The whole word, as written.
    pub word: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// The reasons for an [`ExpandError`], in BuildKit's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A quote that is never closed: `single-quote` or `double-quote`.
    #[error("unexpected end of statement while looking for matching {0}")]
    OpenQuote(&'static str),
    /// `${X` without an end, after an operator.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// `${X/pattern` without the second slash.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}`, `${:`, `${{`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// Something after the name that is no operator.
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// `${X?}` of a variable that is not set, or its own message.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The text after `?`, or the default one.
        message: String,
    },
    /// Nested deeper than anybody would write.
    #[error("substitutions are nested too deeply")]
    TooDeep,
    /// More text than a [`Budget`](super::Budget) allows.
    #[error("variables expand to too much text")]
    TooMuch,
    /// A backslash before something that need not be escaped.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '{escape}'")]
    Pattern {
        /// The pattern, expanded.
        pattern: String,
        /// The backslash and what follows it.
        escape: String,
    },
}
