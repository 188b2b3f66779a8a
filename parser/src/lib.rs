//! The Dockerfile language.
#![forbid(unsafe_code)]

pub mod chmod;
mod diagnostic;
pub mod expand;
mod go;
mod instruction;
pub mod paths;
pub mod pattern;
pub mod plan;
pub mod source;

pub use diagnostic::Diagnostic;
pub use instruction::*;
pub use source::{LineRange, Source, Span, Spanned};

/// What became of a file.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// As much of it as could be understood.
    pub dockerfile: Dockerfile,
    /// What is wrong, BuildKit's own error first, then everything else in file order.
    pub errors: Vec<Diagnostic>,
}

/// Parses a Dockerfile.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let errors = vec![Diagnostic::new(format!("parsing of {} bytes is not yet supported", bytes.len()))];
    Parsed { dockerfile: Dockerfile::default(), errors }
}

/// Parses an ONBUILD trigger as an image stores it; the escape character is always `\`.
///
/// # Errors
/// Everything that is wrong with an instruction, without a prefix and without lines.
pub fn parse_trigger(text: &str) -> Result<Instruction, Diagnostic> {
    Err(Diagnostic::new(format!("parsing of triggers is not yet supported: {text}")))
}
