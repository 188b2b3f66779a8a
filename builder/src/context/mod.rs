//! Where COPY, ADD and bind mounts take files from.
//!
//! A [`Context`] is a folder of the host, seen as the transfer of a build context leaves it (owners 0:0, ignore
//! file applied, sockets as empty files), or the merged tree of a chain of layers. Both have one interface:
//! look up a path with links resolved inside the root, list a directory, walk a directory through sieves, open a
//! file. Nothing is read ahead: what no instruction selects is never walked.
//!
//! - `folder`, `layers`: the two kinds of source;  `source`: the interface and the walk;
//! - `sieve`: ignore files, `--exclude` and `--parents` at work on a tree;
//! - `hashes`: the memory of content hashes ([`HashCache`]), so that a warm build reads no file;
//! - `meta`, `permissions`, `xattr`, `path`: metadata, `--perm`, extended attributes, paths.
//!
//! Invariant: no path leads out of the root, whatever links and `..` it has.

mod error;
mod folder;
mod hashes;
mod layers;
mod meta;
pub(crate) mod path;
mod permissions;
pub(crate) mod read;
mod sieve;
mod source;
pub(crate) mod xattr;

pub use error::ContextError;
pub use hashes::{ContentHash, HashCache};
pub use meta::{FileTime, Inode, Kind, Meta};
pub use permissions::Permissions;
pub use source::Context;

pub(crate) use folder::open_below;
pub(crate) use hashes::{Known, now};
pub(crate) use layers::found;
pub(crate) use sieve::Sieve;
pub(crate) use source::{Found, Item, resolve};
