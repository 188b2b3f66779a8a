//! Archives: images as one tar or folder, in the formats that docker, podman, skopeo and OCI tools exchange.
//!
//! - [`save()`] writes a tar that is docker's format and an OCI image layout at once, so that every reader finds
//!   what it knows. Layers are not compressed: compressing is for networks.
//!
//! Invariants: an image keeps its ID on the way out and in. What an archive says is believed only after its digest
//! was computed.

mod error;
mod save;
mod tarball;

pub use error::ArchiveError;
pub use save::{Format, Selection, save};
