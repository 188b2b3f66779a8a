//! The Dockerfile language: from the bytes of a file to a plan of what to build.
//!
//! The crate is pure. It does no I/O, knows neither clock nor environment, prints nothing and never panics;
//! what it can not find out from text alone (the configuration of a base image) its caller tells it.
//!
//! The way of a file through the rooms:
//!
//! - [`source`]: the text with its lines indexed. Everything found later has a [`Span`] in it.
//! - `lines`: physical lines become logical lines. Directives (`directive`), comments, continuation lines and
//!   heredoc bodies are understood here and nowhere else.
//! - `grammar`: a logical line becomes an instruction.
//! - `instruction`: the tree, [`Dockerfile`]. Words in which variables are expanded are still as written.
//!   [`print()`] turns it into text again.
//! - `parse`: runs the three above over a file. It always gives a tree, and a list of [`Diagnostic`]s.
//! - [`expand`]: variables and quotes. [`pattern`], [`paths`] and [`chmod`]: the other small languages that
//!   instructions contain.
//! - [`plan`]: stages are linked and expanded, and what has no effect on files is folded into the
//!   configuration that the others see.
//! - [`lint`]: what could be built but should be written differently; [`fix`] writes it.
//! - [`go`]: how Go writes and reads values, which BuildKit's messages and flags are made of.
//! - [`graph`]: a plan as a drawing; [`outline`]: what a file offers and takes.
//!
//! For errors, `excerpt` knows which lines to show, and `suggest` what might have been meant.
//!
//! Messages, and which of several errors comes first, are BuildKit's. Where its behaviour is odd, a comment says
//! so; that is how Dockerfiles are read everywhere else, so it is how they have to be read here.
#![forbid(unsafe_code)]

pub mod chmod;
mod diagnostic;
mod directive;
mod excerpt;
pub mod expand;
pub mod fix;
pub mod go;
mod grammar;
pub mod graph;
mod instruction;
mod lines;
pub mod lint;
pub mod outline;
mod parse;
pub mod paths;
pub mod pattern;
pub mod plan;
mod print;
pub mod source;
mod suggest;

pub use diagnostic::Diagnostic;
pub use excerpt::{ExcerptLine, excerpt};
pub use instruction::*;
pub use parse::{Parsed, parse, parse_trigger};
pub use print::print;
pub use source::{LineRange, Source, Span, Spanned, Text};
pub use suggest::{suggest, with_suggestion};
