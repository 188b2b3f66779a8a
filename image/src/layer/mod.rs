//! Layers: one step's changes to a file system, as a directory and as a tar.
//!
//! On disk a layer is a directory in the form that overlayfs mounts: a removed path is a character device 0:0, a
//! directory that hides everything below it carries the *opaque* attribute ([`Flavour`] says in which namespace).
//! In transit a layer is a tar with `.wh.` entries (OCI image specification). The rooms:
//!
//! - [`Entry`], [`entries`]: what a layer holds, in *canonical order* (depth first, siblings by their bytes).
//! - `identity`, [`diff_id`], [`write_tar`], `seal`: the two names of a layer and its canonical tar. Every file is
//!   read once, however many of the three are wanted.
//! - `unpack`: a tar from outside into overlay form, confined. [`TarReader`] reads any tar, [`decoder`] inflates it.
//! - [`View`], [`Node`]: the merged tree of a chain of layers, without mounting it.
//! - [`differences`]: what is not the same in two views.
//! - `normalize`: an overlay upper directory, as a process left it, becomes exactly the changes it made.
//! - `twin`: a layer from outside that leaves out parents, once more with those that it lies on.
//! - `flatten`: several layers as one directory, for an overlay.
//! - `folders`: a layer that is little over another one.
//! - `merge`: an upper directory becomes part of the directory below it, which is no layer.
//! - `owner`: whom a file belongs to, where the kernel knows one id only.
//!
//! Invariants: the tar of a directory depends on its entries only, never on inode numbers, directory order or who
//! asks; two directories with one identity (all times kept) have one tar; nothing here follows a symlink of a layer
//! except [`View::lookup`], which resolves it inside the layers.

mod bounded;
mod compression;
mod content;
mod difference;
mod entry;
mod error;
mod flatten;
mod flavour;
mod folders;
mod fs;
mod identity;
mod merge;
mod node;
mod normalize;
mod owner;
mod remove;
mod seal;
mod stream;
mod tar;
mod tar_reader;
mod tar_sparse;
mod twin;
mod unpack;
mod unpack_parents;
mod view;
mod walk;

pub(crate) use bounded::Bounded;
pub use bounded::unpack_blob;
pub use compression::{Compression, decoder};
pub use content::KnownContents;
pub use difference::{Difference, Entity, Times, differences};
pub use entry::{Entry, EntryKind};
pub use error::LayerError;
pub(crate) use flatten::flatten;
pub use flavour::Flavour;
pub use folders::{Folders, OpenFolders, canonical};
pub(crate) use fs::{names, open_below};
pub use identity::OwnTimes;
pub use merge::{copy_attributes, merge_upper};
pub use node::{DirNode, Metadata, Node, NodeKind};
pub use normalize::{Author, normalize};
pub use owner::{Owner, Owners, note_behind, noted_behind};
pub(crate) use remove::remove_tree;
pub use seal::{
    Identified, Known, Listing, Sealed, TarSummary, diff_id, has_times_after, identify, identity, listed_tar,
    seal, write_clamped_tar, write_known_tar, write_listed_tar, write_tar,
};
pub use tar_reader::{TarEntry, TarError, TarKind, TarReader};
pub(crate) use twin::{ParentLooks, dress, looks_below, make_twin};
pub use unpack::{Unpacked, unpack};
pub use view::{Follow, Located, View};
pub use walk::entries;

#[cfg(test)]
mod tests;
