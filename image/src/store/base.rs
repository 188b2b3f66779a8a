//! Layers that are over others: what is kept of the one below, and how long that is needed.
//!
//! A layer that has only what differs from its base (`layer::Folders`) is nothing without it. So the base is not pruned
//! while the layer stays, and the layer counts as not there once its base is not, or is another one: a layer that was
//! made anew under the same name can have other times of its own, and with them another tar. So each making of a layer
//! has a name in the store, which is part of nothing but `meta.json`. No base is over another.

use serde::{Deserialize, Serialize};

use super::layers::{Layer, Meta};
use super::{Store, StoreError};
use crate::digest::LayerId;

/// The layer that another one is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    pub(super) layer: LayerId,
    /// Which making of it.
    pub(super) made: String,
}

impl Layer {
    /// Whether it has only what differs from another one; see [`Folders`](crate::layer::Folders).
    pub fn is_over(&self) -> bool {
        self.0.base.is_some()
    }

    /// As what another layer is over.
    pub(super) fn as_base(&self) -> Base {
        Base { layer: self.0.id, made: self.0.meta.made.clone() }
    }

    /// Whether another layer can be over it: it is one folder, of this very store, and was made by a step.
    pub fn can_be_base(&self) -> bool {
        !self.is_over() && !self.is_below() && !self.0.meta.made.is_empty()
    }
}

impl Store {
    /// Whether the layer that this one is over, if it is, is the one that it was made for.
    pub(super) fn has_base(&self, meta: &Meta) -> Result<bool, StoreError> {
        let Some(base) = &meta.over else { return Ok(true) };
        let there = self.read_meta(base.layer)?;
        Ok(there.is_some_and(|there| there.over.is_none() && there.made == base.made))
    }

    /// The layers that some of these are over, without which they are nothing.
    pub(super) fn bases_of<'a>(
        &self,
        layers: impl IntoIterator<Item = &'a LayerId>,
    ) -> Result<Vec<LayerId>, StoreError> {
        let mut bases = Vec::new();
        for id in layers {
            bases.extend(self.read_meta(*id)?.and_then(|meta| meta.over).map(|base| base.layer));
        }
        Ok(bases)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::*;
    use crate::layer::{self, Flavour, Known, Listing, OwnTimes};

    fn open(folder: &Path) -> Store {
        let root = rustix::process::geteuid().is_root();
        Store::open(folder, if root { Flavour::Trusted } else { Flavour::User }).unwrap()
    }

    /// A layer with two files, and one that is the first of them changed, over it.
    fn pair(store: &Store) -> (Layer, Layer) {
        let temp = store.temp().unwrap();
        temp.make_dir("fs", 0o755).unwrap();
        fs::write(temp.path().join("fs/a"), "a").unwrap();
        fs::write(temp.path().join("fs/b"), "b").unwrap();
        let base = store.publish_layer(temp, OwnTimes::IgnoreAll).unwrap();
        assert!(base.can_be_base());
        let temp = store.temp().unwrap();
        temp.make_dir("fs", 0o755).unwrap();
        fs::write(temp.path().join("fs/a"), "changed").unwrap();
        let mut listing = layer::entries(base.open_fs().unwrap().as_folders(), store.flavour()).unwrap();
        let changed = fs::File::open(temp.path().join("fs")).unwrap();
        listing[0] = layer::entries(changed.as_fd(), store.flavour()).unwrap().remove(0);
        let known = Known {
            contents: [(b"b".to_vec(), *blake3::hash(b"b").as_bytes())].into(),
            linked_bytes: 1,
            listing: Some(Listing::new(listing)),
            over: Some(base.id()),
        };
        let over = store.publish_layer_knowing(&temp, OwnTimes::IgnoreAll, known).unwrap().layer;
        (base, over)
    }

    #[test]
    fn a_layer_over_another_is_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let (base, over) = pair(&store);
        assert!(over.is_over() && !over.can_be_base());
        assert_eq!(over.paths().collect::<Vec<_>>(), [over.fs_path(), base.fs_path()]);
        assert_eq!((over.entries(), over.size()), (2, 8));
        let whole = tempfile::tempdir().unwrap();
        for (name, content, like) in [("a", "changed", &over), ("b", "b", &base)] {
            fs::write(whole.path().join(name), content).unwrap();
            let time = fs::metadata(like.fs_path().join(name)).unwrap().modified().unwrap();
            fs::File::open(whole.path().join(name)).unwrap().set_modified(time).unwrap();
        }
        let folder = fs::File::open(whole.path()).unwrap();
        assert_eq!(over.diff_id().unwrap(), layer::diff_id(folder.as_fd(), store.flavour()).unwrap());
        let identity = layer::identity(folder.as_fd(), store.flavour(), OwnTimes::IgnoreAll).unwrap();
        assert_eq!(over.id(), identity);
        assert_eq!(store.fsck().unwrap(), []);
    }

    #[test]
    fn a_layer_is_gone_with_the_one_that_it_is_over_and_when_that_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (base, over) = {
            let (base, over) = pair(&open(folder.path()));
            (base.id(), over.id())
        };
        // The same layer, made another time.
        let meta = folder.path().join(format!("v1/layers/{base}/meta.json"));
        let text = fs::read_to_string(&meta).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        fs::write(&meta, text.replace(json["made"].as_str().unwrap(), "another")).unwrap();
        assert!(open(folder.path()).layer(over).unwrap().is_none());
        assert_eq!(pair(&open(folder.path())).1.id(), over);
        fs::remove_dir_all(folder.path().join(format!("v1/layers/{base}"))).unwrap();
        let store = open(folder.path());
        assert!(store.layer(over).unwrap().is_none(), "what it is over is gone");
        // It can be made again.
        assert_eq!(pair(&store).1.id(), over);
        assert!(store.layer(over).unwrap().is_some_and(|layer| layer.is_over()));
    }
}
