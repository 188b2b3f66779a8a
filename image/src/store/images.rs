//! Images: a config's bytes, and which layers of the store its DiffIDs are.
//!
//! A file of `images/` is one line with the LayerIds, lowest first, and then the config as it came. The config's
//! digest is the file's name, so every read proves the file whole.

use super::{Store, StoreError, repo_digests};
use crate::config::{ConfigError, ImageConfig};
use crate::digest::{Digest, ImageId, LayerId};

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// SHA-256 of `bytes`.
    pub id: ImageId,
    /// What `bytes` says.
    pub config: ImageConfig,
    /// The config as it came.
    pub bytes: Vec<u8>,
    /// Lowest first.
    pub layers: Vec<LayerId>,
}

/// Why a config and layers are not an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The config cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The config speaks of another number of layers.
    #[error("the image config has {config} layers, and {given} were given")]
    LayerCount {
        /// DiffIDs in the config.
        config: usize,
        /// Layers given.
        given: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Keeps an image. When it is there already with all its layers, that one stays. Nothing is synced: whoever
    /// gives it a name calls [`Store::make_durable`] with its layers first.
    ///
    /// # Errors
    /// When `config` is none, does not fit the layers, or cannot be written.
    pub fn put_image(&self, config: &[u8], layers: &[LayerId]) -> Result<ImageId, ImageError> {
        let parsed = ImageConfig::parse(config)?;
        let expected = parsed.rootfs.diff_ids.len();
        if expected != layers.len() {
            return Err(ImageError::LayerCount { config: expected, given: layers.len() });
        }
        let id = ImageId(Digest::of(config));
        if let Some(image) = self.own_image(id)?
            && self.has_layers(&image)?
        {
            return Ok(id);
        }
        let line: Vec<String> = layers.iter().map(LayerId::to_string).collect();
        let mut bytes = line.join(" ").into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(config);
        self.write_small(&path(id), &bytes)?;
        Ok(id)
    }

    /// An image by its ID; `None` when it is not there or its file is not whole.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn image(&self, id: ImageId) -> Result<Option<Image>, StoreError> {
        match (self.own_image(id)?, self.lower()) {
            (None, Some(lower)) => lower.image(id),
            (own, _) => Ok(own),
        }
    }

    /// The same without the lower store.
    pub(super) fn own_image(&self, id: ImageId) -> Result<Option<Image>, StoreError> {
        Ok(self.read_small(&path(id))?.and_then(|bytes| parse(id, &bytes)))
    }

    /// Forgets an image; its layers stay until they are pruned. False when it was not there.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn remove_image(&self, id: ImageId) -> Result<bool, StoreError> {
        self.remove_small(&repo_digests::path(id.into()))?;
        self.remove_small(&path(id))
    }

    /// The IDs of all images, sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn image_ids(&self) -> Result<Vec<ImageId>, StoreError> {
        let mut ids = self.own_image_ids()?;
        if let Some(lower) = self.lower() {
            ids.extend(lower.image_ids()?);
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(ids)
    }

    /// The same without the lower store.
    pub(super) fn own_image_ids(&self) -> Result<Vec<ImageId>, StoreError> {
        let names = self.names_in("images")?;
        Ok(names.iter().filter_map(|name| Digest::from_hex(name).ok()).map(ImageId).collect())
    }

    fn has_layers(&self, image: &Image) -> Result<bool, StoreError> {
        for id in &image.layers {
            if self.layer(*id)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn path(id: ImageId) -> String {
    format!("images/{}", id.hex())
}

fn parse(id: ImageId, file: &[u8]) -> Option<Image> {
    let end = file.iter().position(|byte| *byte == b'\n')?;
    let (line, bytes) = (std::str::from_utf8(&file[..end]).ok()?, &file[end + 1..]);
    if Digest::of(bytes) != id.0 {
        return None;
    }
    let layers = line.split_ascii_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    Some(Image { id, config: ImageConfig::parse(bytes).ok()?, bytes: bytes.to_vec(), layers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Flavour;

    #[test]
    fn an_image_comes_back_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let config = b"{ \"os\": \"linux\", \"odd\": 1, \"rootfs\": {\"diff_ids\": [\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]} }";
        let layer = LayerId([7; 32]);
        let id = store.put_image(config, &[layer]).unwrap();
        let image = store.image(id).unwrap().unwrap();
        assert_eq!((image.bytes.as_slice(), image.layers.as_slice()), (&config[..], &[layer][..]));
        assert_eq!(store.image_ids().unwrap(), [id]);
        assert!(store.remove_image(id).unwrap());
        assert!(!store.remove_image(id).unwrap());
        assert_eq!(store.image(id).unwrap(), None);
    }

    #[test]
    fn an_image_whose_layers_are_gone_gets_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids = vec![crate::digest::DiffId(Digest::of(b"x"))];
        let put = |layer| store.put_image(&config.to_bytes(), &[layer]).unwrap();
        let temp = store.temp().unwrap();
        temp.make_dir("fs", 0o755).unwrap();
        let there = store.publish_layer(temp, crate::layer::OwnTimes::IgnoreAll).unwrap().id();
        for (put_now, found) in
            [(LayerId([7; 32]), LayerId([7; 32])), (there, there), (LayerId([8; 32]), there)]
        {
            assert_eq!(store.image(put(put_now)).unwrap().unwrap().layers, [found]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_damaged_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let config = ImageConfig::default().to_bytes();
        assert!(matches!(
            store.put_image(&config, &[LayerId([0; 32])]),
            Err(ImageError::LayerCount { config: 0, given: 1 })
        ));
        assert!(matches!(store.put_image(b"no", &[]), Err(ImageError::Config(_))));
        let id = store.put_image(&config, &[]).unwrap();
        store.write_small(&path(id), b"\n{}").unwrap();
        assert_eq!(store.image(id).unwrap(), None);
        assert_eq!(store.put_image(&config, &[]).unwrap(), id);
        assert!(store.image(id).unwrap().is_some());
    }
}
