//! Placeholder.
pub mod event;
