//! Images on their way: pulling and pushing.
//!
//! - `pull`: name -> manifest -> config -> the layers that are missing -> an image of the store.
//! - `fetch`: one layer, hashed and written to the disk while it arrives, and unpacked at the same time.
//! - `blob`: the bytes of a blob, as if the line never broke.
//! - `push`: an image of the store -> blobs that the registry lacks -> a manifest under a name.
//! - `send`: one blob -> a repository. `list`: a manifest list, with what it leads to.
//! - `make`: manifests and indexes of our own. `pack`, `gzip`: the bytes in which a layer is pushed.
//! - `sources`: which repositories are known to have a blob.

mod blob;
mod fetch;
mod gzip;
mod list;
mod make;
mod pack;
mod pull;
mod push;
mod send;
mod sources;
mod workers;

pub(super) use blob::BlobStream;
pub use make::manifest_for;
pub use pack::{Compression, Encoding, Packed, keep_packed, pack};
pub(super) use pull::asked;
pub use pull::{Found, PullOptions, Pulled};
pub use push::{PushOptions, Pushed};
pub(super) use send::upload;
