//! What people (and programs) get to see: answers on standard output, progress and errors on standard error.
//!
//! Rooms: `print` writes, `fit` cuts lines to the terminal's width, `style` colours, `report` shows an error with the lines of the Dockerfile that
//! it is about, `transfer` shows images on their way, `progress` makes one of four views of a build's events: `tty`, `plain`, `json`, quiet.
//!
//! A view is called from the threads that run the build. It takes a lock, notes or writes a line, and returns;
//! the live view draws from a thread of its own, ten times a second at most.

mod fit;
mod json;
mod log;
mod plain;
mod print;
mod progress;
mod report;
mod style;
mod transfer;
mod tty;

pub(crate) use print::{CLOSED_PIPE, complain, explain, note, print, print_raw, warn};
pub(crate) use progress::progress;
pub(crate) use report::{Place, Problem, Report};
pub(crate) use style::Style;
pub(crate) use transfer::{Direction, Transfer};
