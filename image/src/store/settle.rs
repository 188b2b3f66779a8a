//! Layers from elsewhere that leave out parents of what they bring.
//!
//! What such a layer is depends on those below it, and its DiffID does not say. So the store has it once as it came,
//! named as every layer from elsewhere, and once more for each chain on which its parents look different; the name of
//! that one says how they look. All have the DiffID and the blob that it came with.

use std::fs::File;
use std::os::fd::AsFd;

use super::layers::{Came, Layer, Origin, foreign_id};
use super::{Store, StoreError, TempDir};
use crate::digest::{DiffId, LayerId};
use crate::layer::{self, ParentLooks, View};

impl Store {
    /// The layers of an image, lowest first, as they are on top of each other. Those that describe all their
    /// directories, and those that are not in the store, stay the same.
    ///
    /// # Errors
    /// When one cannot be read or made.
    pub fn settle(&self, layers: &[LayerId]) -> Result<Vec<LayerId>, StoreError> {
        let mut settled: Vec<LayerId> = Vec::with_capacity(layers.len());
        for id in layers {
            let incomplete = self.layer(*id)?.filter(|layer| !layer.implied().is_empty());
            let id = match incomplete {
                Some(layer) => self.settled(&layer, &settled)?,
                None => *id,
            };
            settled.push(id);
        }
        Ok(settled)
    }

    fn settled(&self, layer: &Layer, below: &[LayerId]) -> Result<LayerId, StoreError> {
        let Origin::Foreign { diff_id, blob } = layer.origin() else { return Ok(layer.id()) };
        let mut opened = Vec::with_capacity(below.len());
        for id in below.iter().rev() {
            let Some(below) = self.layer(*id)? else { return Ok(layer.id()) };
            opened.extend(below.open_fs()?.into_fds());
        }
        let view = View::new(opened, self.flavour());
        let looks =
            layer::looks_below(layer.implied(), &view).map_err(StoreError::layer(Some(layer.id())))?;
        let id = settled_id(*diff_id, &looks);
        if self.layer(id)?.is_some() {
            return Ok(id);
        }
        let twin = self.twin(layer, &looks)?;
        let came = Came { diff_id: *diff_id, blob: blob.clone(), implied: layer.implied().to_vec() };
        self.publish_foreign_layer_as(twin, id, came, None)?;
        Ok(id)
    }

    /// The files of `layer` again, with parents that look so.
    fn twin(&self, layer: &Layer, looks: &ParentLooks) -> Result<TempDir, StoreError> {
        let failed = || StoreError::layer(Some(layer.id()));
        let flavour = self.flavour();
        let mut temp = self.temp()?;
        let mut root = temp.make_dir("fs", 0o755)?;
        let linked =
            layer::make_twin(layer.open_fs()?.top().as_fd(), root.as_fd(), flavour).map_err(failed())?;
        if !linked {
            temp = self.temp()?;
            root = temp.make_dir("fs", 0o755)?;
            let path = layer.blob_path().ok_or(StoreError::NoLayer(layer.id()))?;
            let blob = File::open(&path).map_err(|source| StoreError::Io { action: "open", path, source })?;
            // It was small enough when it came.
            layer::unpack_blob(blob, u64::MAX, root.as_fd(), flavour).map_err(failed())?;
        }
        layer::dress(root.as_fd(), layer.implied(), looks, flavour).map_err(failed())?;
        Ok(temp)
    }
}

/// Without anything that differs it is the layer as it came.
fn settled_id(diff_id: DiffId, looks: &ParentLooks) -> LayerId {
    if looks.is_empty() {
        return foreign_id(diff_id);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"foreign, on others");
    hasher.update(&diff_id.0.0);
    for (path, look) in looks {
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path);
        for number in [look.mode, look.uid, look.gid, look.mtime.nanos] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&look.mtime.secs.to_le_bytes());
    }
    LayerId(*hasher.finalize().as_bytes())
}
