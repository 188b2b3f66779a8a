//! The store: layers, images, names and cache records as plain files, shared by any number of processes.
//!
//! ```text
//! <root>/v1/            the format's version: another one gets another folder
//!   flavour             trusted, user or single: which attributes the layers' directories carry
//!   place               the folder that the store was made in, see `whereabouts`
//!   lock                held shortly: shared to begin using layers, exclusively to remove some
//!   tmp/                what is in the making; everything has its holder's lock, the rest is swept
//!   layers/<LayerId>/   fs/ as overlayfs mounts it, or part/ over another one, see `base` · meta.json · diff_id once known · durable once on disk ·
//!                       clamped.<epoch> the same without later times
//!   diffids/<hex>       the LayerId that has this DiffID
//!   blobs/sha256/<hex>  layers as they came, compressed or not
//!   images/ names/      configs with their layers; what people call them
//!   indexes/<hex>       the images of one name for several platforms
//!   manifests/<hex>     manifests and indexes of registries and layouts, as they came
//!   lists/<hex>         manifest lists in the making
//!   digests/<hex>       the repositories that have an image or index, and its digest there
//!   records/<key>       what a step made: bytes of the builder, behind a checksum
//!   logs/<key>          what it said
//!   inputs/<key>        which files went into the key
//!   builds/<id>         what a build did, step by step
//!   remotes/<LayerId>   where a layer is that never was needed here; copies/<hex> what is copied from such layers
//!   below/              notes on the layers of a lower store, see `lower`
//!   leases/             one file a process: the layers it uses
//!   merged/<digest>/    several layers in one folder for overlayfs, derived, see `stack`
//!   containers/<id>/    the runtime's; the file `layers` in it keeps layers from being pruned
//!   failed/<build>.<n>/ what a failed step left, to be looked at; `layers` as with containers
//!   steps/<key>         locks: who makes this step right now
//! ```
//!
//! Invariants:
//! - What has its final name is whole: everything is made under `tmp/` and moved by one rename. Of two that make the
//!   same thing, the first stays. A process may be killed at any moment; what it leaves lies in `tmp/`, without a
//!   lock.
//! - Nothing is synced on the way of a build: an `fsync` costs more than a step. A rename without it can, after a
//!   loss of power (never after a mere kill), leave a layer whose files are short. Therefore `meta.json` names the
//!   boot it was written in. A layer of another boot that was not made durable in between is compared with its
//!   recorded identity before it is used; if it differs, it is dropped and is simply not there. Small files carry
//!   checksums or are JSON, which an interrupted write does not leave whole.
//! - A layer that a process has asked for stays until the process ends: it is in the process's lease, and pruning
//!   reads all leases under the exclusive lock.
//! - A layer's directory never changes after it was published.

mod base;
mod builds;
mod disk;
mod error;
mod failed;
mod files;
mod fsck;
mod images;
mod indexes;
mod layer;
mod layers;
mod lease;
mod lists;
mod lower;
mod manifests;
mod names;
mod open;
mod prune;
mod publish;
mod records;
mod remotes;
mod repair;
mod repo_digests;
mod settle;
mod side_by_side;
mod stack;
mod step_lock;
mod temp;
#[cfg(test)]
mod tests;
mod usage;
mod whereabouts;

pub use error::{StoreError, help_for_room};
pub use failed::{FAILED_STEPS_STAY, HeldStep};
pub use fsck::Problem;
pub use images::{Image, ImageError};
pub use indexes::{ImageIndex, Named};
pub(crate) use layer::PACKED;
pub(crate) use layers::foreign_id;
pub use layers::{Came, ForeignBlob, Layer, Origin};
pub use lease::{LayerUser, LayerUsers};
pub use lists::{ListEntry, ManifestList};
pub use manifests::{KeptBlob, KeptManifest};
pub use names::ResolveError;
pub use open::Store;
pub use prune::{PruneRequest, Pruned};
pub use publish::{Published, UnpublishedTar};
pub use side_by_side::side_by_side;
pub use stack::{MAX_FOLDERS, MERGED};
pub use step_lock::StepLock;
pub use temp::TempDir;
pub use usage::{LayerUsage, Usage};
