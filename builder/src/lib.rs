//! Placeholder.
pub mod context;
pub mod copy;
pub mod event;
pub mod fetch;
