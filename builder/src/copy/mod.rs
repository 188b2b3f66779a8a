//! COPY and ADD without a container: sources, rules, and a destination that is never mounted.
//!
//! ```text
//! select   instruction + Context (+ names of the destination)   ->  Selection     what would be copied
//! digest   Selection                                            ->  CopyDigest    for the cache key
//! apply    Selection + View of the destination                  ->  the layer's directory
//! make_workdir                                                  ->  the layer of a WORKDIR
//! ```
//!
//! [`digest()`] comes before `apply` when a cache is asked; both work alone. What [`digest()`] read is not read
//! again to be hashed, and what `apply` had to read is hashed on the way.
//!
//! The rooms: `wildcard` and `select` find what is meant; `merge` (COPY) and `archive` (ADD) are the rules, applied
//! to a `tree` in memory that stands for the destination with the new layer on it; `write` makes that tree a
//! directory, with `data` moving bytes and `reuse` linking what an earlier layer already has,
//! which `latest` knows (`seen` is how), or `over` leaving it to that layer, and `listing` telling what came out; `owner`, `hint` and `fetch` look up names, help with typing
//! errors, and stand for the network.
//!
//! Invariants: a conflict is found before anything is written; no path leaves the source's or the destination's
//! root; a file that is not what it was when it was selected is an error, never a layer; two names in one layer
//! share an inode only if they did in the source.

mod apply;
mod archive;
mod data;
mod digest;
mod error;
mod fetch;
mod hint;
mod latest;
mod listing;
mod merge;
mod over;
mod owner;
mod reuse;
mod seen;
mod select;
#[cfg(test)]
mod tests;
mod tree;
mod wildcard;
mod workdir;
mod write;

pub use apply::apply;
pub use archive::unpack_stream;
pub use digest::{CopyDigest, Details, FileRecord, digest};
pub use error::CopyError;
pub use fetch::{Fetch, Fetched, NoNetwork};
pub(crate) use latest::{Latest, Place};
pub use listing::Planned;
pub use owner::Owner;
pub use reuse::{Base, Links, Reuse, Twin, Wanted};
pub use seen::{Seen, SeenEntries, What};
pub use select::{Selection, select};
pub use workdir::make_workdir;
pub use write::Written;
