//! Archives: images as one tar or folder, in the formats that docker, podman, skopeo and OCI tools exchange.
//!
//! - [`save()`] writes a tar that is docker's format and an OCI image layout at once, so that every reader finds
//!   what it knows. Layers are not compressed: compressing is for networks. The uppermost layer comes first, so that
//!   a build can write it before it knows the image ([`Begun`]).
//! - [`load()`] reads docker's format (of every age) and OCI layouts, from a file, a folder or a stream.
//! - [`import()`] makes an image of a bare root file system.
//!
//! Invariants: an image keeps its ID on the way out and in. What an archive says is believed only after its digest
//! was computed. A load that fails leaves no image, name or layer behind: everything is unpacked and verified in
//! temporary folders first.

mod begun;
mod docker;
mod error;
mod import;
mod ingest;
mod load;
mod members;
mod oci;
mod save;
mod tarball;
#[cfg(test)]
mod tests;
mod thin;

pub use begun::{Begun, Led};
pub use error::ArchiveError;
pub use import::{Import, import};
pub use load::{Loaded, load, load_nameless};
pub use members::Source;
pub use save::{Format, Selection, manifest, save, save_led};
pub use thin::{KnownLayers, left_out, save_thin};
