//! Indexes: the images that one name has for several platforms.
//!
//! What registries and layouts call an index leads to manifests, and those to layers as they are compressed there.
//! The store's index leads to images of the store, each for a platform; the manifests are made when it is saved or
//! pushed. A file of `indexes/` is JSON, and called after its SHA-256, so every read proves it whole.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Image, Store, StoreError, repo_digests};
use crate::digest::{Digest, ImageId, IndexId};
use crate::platform::Platform;

const FOLDER: &str = "indexes";

/// The images of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageIndex {
    /// SHA-256 of its file.
    pub id: IndexId,
    /// In the order in which the platforms were asked for. Never empty.
    pub images: Vec<(Platform, ImageId)>,
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Named {
    /// One image.
    Image(ImageId),
    /// Images for several platforms.
    Index(IndexId),
}

#[derive(Serialize, Deserialize)]
struct Entry {
    platform: Platform,
    image: ImageId,
}

impl ImageIndex {
    /// The image for exactly that platform.
    pub fn exactly(&self, platform: &Platform) -> Option<ImageId> {
        self.images.iter().find(|(there, _)| platform.accepts(there)).map(|(_, image)| *image)
    }

    /// The best image that runs on `platform`.
    pub fn best_for(&self, platform: &Platform) -> Option<ImageId> {
        platform.runs().iter().find_map(|candidate| self.exactly(candidate))
    }

    /// The image that is meant where nobody asks for a platform: this machine's, else the first.
    pub fn here(&self) -> ImageId {
        self.best_for(&Platform::host()).unwrap_or(self.images[0].1)
    }
}

impl From<ImageId> for Named {
    fn from(id: ImageId) -> Self {
        Self::Image(id)
    }
}

impl From<IndexId> for Named {
    fn from(id: IndexId) -> Self {
        Self::Index(id)
    }
}

impl Named {
    /// The digest, whatever it is of.
    pub fn digest(self) -> Digest {
        match self {
            Self::Image(id) => id.0,
            Self::Index(id) => id.0,
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest().fmt(f)
    }
}

impl Store {
    /// Keeps an index. None of its images is looked at.
    ///
    /// # Errors
    /// When it cannot be written.
    ///
    /// # Panics
    /// When `images` is empty.
    pub fn put_index(&self, images: Vec<(Platform, ImageId)>) -> Result<IndexId, StoreError> {
        assert!(!images.is_empty(), "an index has images");
        let entries: Vec<Entry> =
            images.into_iter().map(|(platform, image)| Entry { platform, image }).collect();
        let bytes = serde_json::to_vec(&entries).expect("the entries have only strings");
        let id = IndexId(Digest::of(&bytes));
        self.put_in(FOLDER, &id.hex(), &bytes)?;
        Ok(id)
    }

    /// An index by its ID; `None` when it is not there or its file is not whole.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn index(&self, id: IndexId) -> Result<Option<ImageIndex>, StoreError> {
        let own = self.read_small(&path(id))?.and_then(|bytes| parse(id, &bytes));
        match (own, self.lower()) {
            (None, Some(lower)) => lower.index(id),
            (own, _) => Ok(own),
        }
    }

    /// Forgets an index; its images stay. False when it was not there.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn remove_index(&self, id: IndexId) -> Result<bool, StoreError> {
        self.remove_small(&repo_digests::path(id.into()))?;
        self.remove_small(&path(id))
    }

    /// The IDs of all indexes, sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn index_ids(&self) -> Result<Vec<IndexId>, StoreError> {
        let mut ids = self.own_index_ids()?;
        if let Some(lower) = self.lower() {
            ids.extend(lower.index_ids()?);
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(ids)
    }

    /// The same without the lower store.
    pub(super) fn own_index_ids(&self) -> Result<Vec<IndexId>, StoreError> {
        let names = self.names_in(FOLDER)?;
        Ok(names.iter().filter_map(|name| Digest::from_hex(name).ok()).map(IndexId).collect())
    }

    /// All images that something means; none for an index that is gone.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn images_of(&self, named: Named) -> Result<Vec<ImageId>, StoreError> {
        Ok(match named {
            Named::Image(id) => vec![id],
            Named::Index(id) => {
                let index = self.index(id)?;
                index.map(|index| index.images.into_iter().map(|(_, id)| id).collect()).unwrap_or_default()
            }
        })
    }

    /// The image that something means where nobody asks for a platform.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn image_here(&self, named: Named) -> Result<Option<Image>, StoreError> {
        match named {
            Named::Image(id) => self.image(id),
            Named::Index(id) => self.index(id)?.map_or(Ok(None), |index| self.image(index.here())),
        }
    }
}

pub(super) fn path(id: IndexId) -> String {
    format!("{FOLDER}/{}", id.hex())
}

fn parse(id: IndexId, file: &[u8]) -> Option<ImageIndex> {
    if Digest::of(file) != id.0 {
        return None;
    }
    let entries: Vec<Entry> = serde_json::from_slice(file).ok()?;
    let images: Vec<_> = entries.into_iter().map(|entry| (entry.platform, entry.image)).collect();
    (!images.is_empty()).then_some(ImageIndex { id, images })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ImageConfig;
    use crate::layer::Flavour;
    use crate::reference::Reference;

    #[test]
    fn a_name_of_several_images_means_this_machines() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let host = Platform::host();
        let foreign = Platform::new("linux", "s390x", None);
        let ids = [&foreign, &host].map(|platform| {
            let config = ImageConfig {
                architecture: platform.architecture.clone(),
                os: "linux".into(),
                ..ImageConfig::default()
            };
            store.put_image(&config.to_bytes(), &[]).unwrap()
        });
        let id = store.put_index(vec![(foreign.clone(), ids[0]), (host, ids[1])]).unwrap();
        let name: Reference = "app".parse().unwrap();
        store.set_name(&name, id).unwrap();
        assert_eq!(store.named(&name).unwrap(), Some(ids[1]));
        assert_eq!(store.named_for(&name, &foreign).unwrap(), Some(ids[0]));
        assert_eq!(store.named_for(&name, &Platform::new("linux", "riscv64", None)).unwrap(), None);
        for text in ["app", &id.to_string(), &id.hex()[..30]] {
            assert_eq!(store.resolve(text).unwrap().id, ids[1], "{text}");
            assert_eq!(store.resolve_named(text).unwrap(), Named::Index(id), "{text}");
        }
        let other = store.put_index(vec![(foreign, ids[0])]).unwrap();
        assert_eq!(
            store.index(other).unwrap().unwrap().here(),
            ids[0],
            "the first, where none is this machine's"
        );
        store.write_small(&path(id), b"[]").unwrap();
        assert_eq!(store.index(id).unwrap(), None);
        assert_eq!(store.named(&name).unwrap(), None);
    }
}
