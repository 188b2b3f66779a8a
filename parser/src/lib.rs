//! The Dockerfile language.
#![forbid(unsafe_code)]

pub mod chmod;
mod diagnostic;
mod directive;
mod excerpt;
pub mod expand;
mod go;
mod grammar;
mod instruction;
mod lines;
mod parse;
pub mod paths;
pub mod pattern;
pub mod plan;
pub mod source;
mod suggest;

pub use diagnostic::Diagnostic;
pub use excerpt::{ExcerptLine, excerpt};
pub use instruction::*;
pub use parse::{Parsed, parse, parse_trigger};
pub use source::{LineRange, Source, Span, Spanned};
pub use suggest::{suggest, with_suggestion};
