//! What a transfer tells about itself.

use std::time::Duration;

use crate::digest::{BlobDigest, ManifestDigest};

/// How far a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerState {
    /// It is known and waits for its turn.
    Waiting,
    /// It is there already; nothing is transferred.
    Exists,
    /// Another repository of the registry has it, and it was mounted from there.
    Mounted,
    /// It is being compressed before it is pushed.
    Compressing,
    /// Its bytes are on their way.
    Transferring,
    /// All bytes are there and verified.
    Done,
}

/// Something happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A registry is asked about a name.
    Resolving {
        /// The image, as docker shows it.
        image: &'a str,
        /// Who is asked.
        host: &'a str,
    },
    /// A mirror did not help; the next one is asked.
    MirrorFailed {
        /// Who was asked.
        host: &'a str,
        /// What went wrong.
        reason: &'a str,
    },
    /// The image is known.
    Manifest {
        /// The digest of the manifest or index that the name leads to.
        digest: ManifestDigest,
        /// How many layers the image has.
        layers: usize,
    },
    /// A layer got further.
    Layer {
        /// Names the layer in all events of one transfer; while it is not compressed yet its DiffID does.
        digest: BlobDigest,
        /// Its length in transit in bytes; 0 when it is not known yet.
        size: u64,
        /// How far it is.
        state: LayerState,
    },
    /// Bytes of a layer went over the line.
    Bytes {
        /// The layer.
        digest: BlobDigest,
        /// How many bytes so far.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// What is pushed leads to less than the index that it came as.
    Reduced {
        /// The index.
        index: ManifestDigest,
        /// What it leads to and the store does not have, as platforms.
        left_out: &'a [String],
    },
    /// Something broke that may pass.
    Retrying {
        /// What went wrong.
        reason: &'a str,
        /// The how-manieth attempt comes next.
        attempt: u32,
        /// After which pause.
        pause: Duration,
    },
}

/// Hears of events. Called from several threads at once, many times a second: must be quick.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event<'_>) {}
}
