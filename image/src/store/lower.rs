//! A store below another one, as the cache volume of a CI machine is: everything in it is found, nothing is written.
//!
//! What the upper store has hides what the lower one has under the same name. A layer of the lower store is used where
//! it lies. What is found out about it is noted in the upper store's folder `below`: that it has proved itself, the
//! digest of its tar, its compressed form. If the lower store can be written to, its layers are leased, so that
//! whoever prunes it there leaves them alone; if not, nobody can prune it either.

use std::path::Path;

use super::layers::Meta;
use super::{Store, StoreError};
use crate::digest::{ImageId, LayerId};
use crate::layer::Flavour;

/// Notes on the layers of a lower store.
pub(super) const NOTES: &str = "below";

impl Store {
    /// As [`Store::open`], with the store in the folder `lower` below, which has to be there.
    ///
    /// # Errors
    /// As [`Store::open`]; there is no lower store, or it belongs to the other flavour.
    pub fn open_over(root: &Path, flavour: Flavour, lower: &Path) -> Result<Self, StoreError> {
        let lower = Self::open_read_only(lower, flavour)?;
        Self::open_with(root, flavour, Some(lower))
    }

    /// True if the image is of the lower store: it cannot be removed here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_below(&self, id: ImageId) -> Result<bool, StoreError> {
        Ok(self.own_image(id)?.is_none() && self.image(id)?.is_some())
    }

    /// A layer of the lower store that is whole.
    pub(super) fn layer_below(&self, id: LayerId) -> Result<Option<(Self, Meta)>, StoreError> {
        let Some(lower) = self.lower() else { return Ok(None) };
        let look = || lower.read_meta(id);
        let meta = match lower.lease() {
            Ok(_) => lower.with_lease(id, look)?,
            Err(error) if error.is_refused() => look()?,
            Err(error) => return Err(error),
        };
        let Some(meta) = meta else { return Ok(None) };
        if !lower.has_base(&meta)? {
            return Ok(None);
        }
        let proof = format!("{NOTES}/{id}.proof");
        let proved =
            || Ok::<_, StoreError>(self.read_small(&proof)?.is_some_and(|of| of == lower.life().as_bytes()));
        if lower.needs_no_proof(id, &meta) || proved()? {
            return Ok(Some((lower.clone(), meta)));
        }
        if !lower.is_as_recorded(id, &meta)? {
            return Ok(None);
        }
        self.note_below(&proof, lower.life().as_bytes())?;
        Ok(Some((lower.clone(), meta)))
    }

    /// Whether the lower store has a layer of that name. Does not lease it.
    pub(super) fn has_layer_below(&self, id: LayerId) -> bool {
        self.lower().is_some_and(|lower| lower.has_layer(id))
    }

    /// Writes a note on something of the lower store.
    pub(super) fn note_below(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.make_folder(NOTES)?;
        self.write_small(path, bytes)
    }
}
