//! The build checks: warnings about Dockerfiles that can be built (spec section 9).
//!
//! Rooms: `rule` names the checks, `config` says which of them are wanted, `linter` collects, `structure` looks at
//! the tree alone. The checks that need values (is a variable set? is this path ignored?) are made by
//! [`crate::plan`] while it goes through the stages, with the `Linter` of that run.

mod config;
mod linter;
mod rule;
mod structure;
#[cfg(test)]
mod tests;

pub use config::{BadCheckOption, CheckConfig};
pub(crate) use linter::Linter;
pub use linter::Warning;
pub use rule::Rule;
pub(crate) use structure::{Majority, parse_time, structure};
