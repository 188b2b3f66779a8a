//! What can be wrong with a Dockerfile.

use serde::Serialize;

use crate::source::{LineRange, Span};

/// An error. The build cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// What is wrong, in BuildKit's words, prefix and suggestion included.
    pub message: String,
    /// The lines that BuildKit would show; None where it shows none.
    pub lines: Option<LineRange>,
    /// The exact place, which can be elsewhere.
    pub span: Option<Span>,
    /// What to do about it, where the message alone does not say.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), lines: None, span: None, help: None }
    }

    /// Says which lines to show.
    #[must_use]
    pub fn at_lines(mut self, lines: LineRange) -> Self {
        self.lines = Some(lines);
        self
    }

    /// Says where it is exactly.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
