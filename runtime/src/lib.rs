//! Isolated processes.
pub mod sandbox;
