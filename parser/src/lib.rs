//! Placeholder.
pub mod plan;
pub mod source;
