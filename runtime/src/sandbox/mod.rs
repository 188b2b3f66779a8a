//! One process in isolation.
mod spec;
pub use spec::*;
