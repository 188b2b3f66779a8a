//! From a logical line to an instruction.
//!
//! This happens in two steps, because BuildKit does it for the whole file in two steps, and which error is
//! reported first depends on it:
//!
//! - [`statement`] splits a line into keyword, flags and arguments. It fails on JSON arrays of anything but
//!   strings and on ENV and LABEL without `=`; it knows nothing about the meaning of flags and arguments.
//! - [`build`] makes an instruction of these: it checks flags, counts arguments, reads durations.
//!
//! Between the two, the heredocs of the line are read ([`heredoc`] finds their markers).
//!
//! All parsers work on `&str` and hand on parts of the line, never copies, so that
//! [`Logical::span`](crate::lines::Logical::span) can tell where a part comes from. Words in which variables
//! are expanded later are left as they are, quotes included.

pub(crate) mod build;
mod copy;
mod csv;
mod duration;
mod flags;
mod from;
mod health;
pub(crate) mod heredoc;
mod json;
mod meta;
mod onbuild;
mod run;
mod shellwords;
pub(crate) mod statement;
mod words;

pub(crate) use json::array as json_array;
pub(crate) use run::bodies_length;

#[cfg(test)]
mod tests;
