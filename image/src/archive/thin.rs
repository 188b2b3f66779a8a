//! Archives without the layers that their reader has: `docker load` does not look at those.

use std::collections::BTreeSet;
use std::io::Write;

use super::error::ArchiveError;
use super::save::{Format, Selection, write_without};
use crate::digest::DiffId;
use crate::store::Store;

/// The layers of images that the reader has, each with what lies below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownLayers {
    chains: Vec<Vec<DiffId>>,
}

impl KnownLayers {
    /// Adds those of one image, lowest first.
    pub fn add(&mut self, layers: Vec<DiffId>) {
        self.chains.push(layers);
    }

    /// How many of the lowest layers the reader has in this order.
    fn known(&self, layers: &[DiffId]) -> usize {
        let shared = |chain: &Vec<DiffId>| chain.iter().zip(layers).take_while(|(a, b)| a == b).count();
        self.chains.iter().map(shared).max().unwrap_or(0)
    }
}

/// The layers that an archive of the images can do without. One that the reader has below one image and not below
/// another is needed: a reader knows layers by what lies below them.
///
/// # Errors
/// When an image is not in the store.
pub fn left_out(
    store: &Store,
    images: &[Selection],
    known: &KnownLayers,
) -> Result<BTreeSet<DiffId>, ArchiveError> {
    let (mut there, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for selection in images {
        for id in store.images_of(selection.id)? {
            let image = store.image(id)?.ok_or(ArchiveError::NoImage(id.into()))?;
            let layers = &image.config.rootfs.diff_ids;
            let (below, above) = layers.split_at(known.known(layers));
            there.extend(below.iter().copied());
            needed.extend(above.iter().copied());
        }
    }
    Ok(there.difference(&needed).copied().collect())
}

/// As [`save`](super::save()) for docker, without the layers that the reader has.
///
/// # Errors
/// As [`save`](super::save()).
pub fn save_thin(
    store: &Store,
    images: &[Selection],
    known: &KnownLayers,
    out: impl Write,
) -> Result<(), ArchiveError> {
    write_without(store, images, &left_out(store, images, known)?, out, Format::Docker)
}
