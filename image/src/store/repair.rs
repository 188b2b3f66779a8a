//! Removing what fsck found broken. What needs it is found by the next check.

use super::{Problem, Store, StoreError};
use crate::digest::LayerId;

impl Store {
    /// Removes the thing that a problem is about; a layer that somebody uses stays. False when nothing was removed.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn repair(&self, problem: &Problem) -> Result<bool, StoreError> {
        match problem {
            Problem::LayerUnreadable(layer)
            | Problem::LayerChanged(layer)
            | Problem::BlobMissing { layer, .. } => self.remove_layer(*layer),
            // It is computed again when it is needed.
            Problem::DiffIdWrong { layer, .. } => self.remove_small(&format!("layers/{layer}/diff_id")),
            Problem::BlobDamaged(name) => self.remove_small(&format!("blobs/sha256/{name}")),
            Problem::ImageDamaged(image) | Problem::ImageIncomplete { image, .. } => {
                self.remove_image(*image)
            }
            Problem::IndexDamaged(index) | Problem::IndexIncomplete { index, .. } => {
                self.remove_index(*index)
            }
            Problem::ManifestDamaged(name) => self.remove_small(&format!("manifests/{name}")),
            Problem::NameDangling { name, .. } => match name.parse() {
                Ok(name) => self.remove_name(&name),
                Err(_) => Ok(false),
            },
            Problem::RecordDamaged(key) => self.remove_record(*key),
        }
    }

    fn remove_layer(&self, id: LayerId) -> Result<bool, StoreError> {
        let trash = self.temp()?;
        self.excluding_leases(|leased| {
            if leased.contains_key(&id) || !self.exists(&format!("layers/{id}")) {
                return Ok(false);
            }
            self.move_layer(id, &trash).map(|()| true)
        })
    }
}
