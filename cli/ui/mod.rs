//! What people (and programs) get to see: answers on standard output, progress and errors on standard error.

mod print;
mod report;
mod style;

pub(crate) use print::{complain, print};
pub(crate) use style::Style;
