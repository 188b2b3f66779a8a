//! Layers that are elsewhere: a cache from elsewhere knew them, and nothing here has needed their files yet.
//!
//! `remotes/<LayerId>` says where the layer is, `copies/<hex>` what a copy between such layers selects. Their content
//! belongs to the builder. A record whose layer is elsewhere is worth keeping; prune forgets the notes with the last
//! record that leads to the layer, and when the layer has come.

use std::collections::BTreeSet;

use super::{Store, StoreError};
use crate::digest::LayerId;

const LAYERS: &str = "remotes";
const COPIES: &str = "copies";

impl Store {
    /// Whether a layer is neither here nor in the store below. Does not lease it, and asks for no proof.
    #[must_use]
    pub fn lacks_layer(&self, layer: LayerId) -> bool {
        !self.has_layer(layer) && !self.has_layer_below(layer)
    }

    /// Where a layer is that is not in the store; None if that is not known.
    ///
    /// # Errors
    /// When the note is there and cannot be read.
    pub fn remote(&self, layer: LayerId) -> Result<Option<Vec<u8>>, StoreError> {
        self.note(&format!("{LAYERS}/{layer}"))
    }

    /// Notes where a layer is.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn put_remote(&self, layer: LayerId, bytes: &[u8]) -> Result<(), StoreError> {
        self.put_in(LAYERS, &layer.to_string(), bytes)
    }

    /// Forgets where a layer is: it has come.
    ///
    /// # Errors
    /// When the note cannot be removed.
    pub fn remove_remote(&self, layer: LayerId) -> Result<(), StoreError> {
        self.remove_small(&format!("{LAYERS}/{layer}")).map(drop)
    }

    /// What a copy selects (the builder names it by a digest); None if that was not noted.
    ///
    /// # Errors
    /// When the note is there and cannot be read.
    pub fn copied(&self, name: &blake3::Hash) -> Result<Option<Vec<u8>>, StoreError> {
        self.note(&format!("{COPIES}/{}", name.to_hex()))
    }

    /// Notes what a copy selects.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn put_copied(&self, name: &blake3::Hash, bytes: &[u8]) -> Result<(), StoreError> {
        self.put_in(COPIES, &name.to_hex(), bytes)
    }

    /// Whether any layer is noted to be elsewhere.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_remotes(&self) -> Result<bool, StoreError> {
        let here = !self.names_in(LAYERS)?.is_empty();
        Ok(here || self.lower().is_some_and(|lower| lower.has_remotes().unwrap_or(false)))
    }

    fn note(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match (self.read_small(path)?, self.lower()) {
            (None, Some(lower)) => lower.note(path),
            (own, _) => Ok(own.filter(|bytes| !bytes.is_empty())),
        }
    }

    /// The notes, relative to [`Store::path`], that are of no use any more when the records lead to `wanted`.
    pub(super) fn useless_notes(&self, wanted: &BTreeSet<LayerId>) -> Result<Vec<String>, StoreError> {
        let is_useful =
            |name: &String| name.parse().is_ok_and(|layer| wanted.contains(&layer) && !self.has_layer(layer));
        let layers = self.names_in(LAYERS)?;
        let copies = if layers.iter().any(is_useful) { Vec::new() } else { self.names_in(COPIES)? };
        let useless =
            layers.into_iter().filter(|name| !is_useful(name)).map(|name| format!("{LAYERS}/{name}"));
        Ok(useless.chain(copies.into_iter().map(|name| format!("{COPIES}/{name}"))).collect())
    }

    /// Whether a layer that is not here is noted to be elsewhere.
    pub(super) fn is_elsewhere(&self, layer: LayerId) -> bool {
        matches!(self.remote(layer), Ok(Some(_)))
    }
}
