//! Word expansion: `$NAME`, `${NAME:-word}`, `${NAME#pattern}`, `${NAME/pattern/text}`, quotes and escapes.
//!
//! Rooms: [`word`](self) walks a word and builds the result, `trim` is the small pattern language of `#`, `%`
//! and `/`, `error` the texts; `budget` sees to it that a few lines do not become gigabytes. The language is the one of BuildKit's Dockerfile frontend, which resembles a
//! POSIX shell but is not one: the text of an operator is always evaluated, even if its value is not needed, and
//! positional parameters are ordinary names that nobody ever set.
//!
//! Two modes. A *word* is one string, spaces included. *Words* are split at white space that came out of
//! an expansion, while quoted parts hold together; only EXPOSE uses them.

mod budget;
mod error;
#[cfg(test)]
mod tests;
mod trim;
mod word;

pub use budget::Budget;
pub use error::{ExpandError, Problem};
pub(crate) use word::MAX_DEPTH;
pub use word::{Expanded, Expander, Lookup};
