//! Stores with images in them.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use rbuild_image::config::ImageConfig;
use rbuild_image::digest::ImageId;
use rbuild_image::layer::{Flavour, OwnTimes};
use rbuild_image::platform::Platform;
use rbuild_image::reference::Reference;
use rbuild_image::registry::{DockerConfig, Registry, Settings};
use rbuild_image::store::Store;

/// A store in a folder of its own.
pub(crate) struct Home {
    pub(crate) store: Store,
    folder: tempfile::TempDir,
}

pub(crate) fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Flavour::User).unwrap();
    Home { store, folder }
}

impl Home {
    /// An image with these layers, each a file with these bytes.
    pub(crate) fn image(&self, layers: &[(&str, Vec<u8>)]) -> ImageId {
        let mut ids = Vec::new();
        let mut config = ImageConfig::default();
        config.set_platform(&Platform::host());
        for (name, bytes) in layers {
            let temp = self.store.temp().unwrap();
            temp.make_dir("fs", 0o755).unwrap();
            let root = temp.path().join("fs");
            fs::write(root.join(name), bytes).unwrap();
            // The same files are the same layer, whenever they are written.
            for path in [root.join(name), root] {
                File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
            let layer = self.store.publish_layer(temp, OwnTimes::KeepAll).unwrap();
            config.rootfs.diff_ids.push(layer.diff_id().unwrap());
            ids.push(layer.id());
        }
        self.store.put_image(&config.to_bytes(), &ids).unwrap()
    }

    /// The content of a file in the image's layers.
    pub(crate) fn file(&self, image: ImageId, name: &str) -> Option<Vec<u8>> {
        let image = self.store.image(image).unwrap().unwrap();
        let layers = image.layers.iter().rev().map(|id| self.store.layer(*id).unwrap().unwrap());
        layers.filter_map(|layer| fs::read(layer.fs_path().join(name)).ok()).next()
    }

    /// What lies about: nothing may, after a failure.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["tmp", "layers", "images", "names", "blobs/sha256"] {
            let entries = fs::read_dir(self.folder.path().join("v1").join(folder)).unwrap();
            found.extend(entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().display())));
        }
        found
    }
}

/// Bytes that do not compress to nothing.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_be_bytes()[0]
        })
        .collect()
}

/// Settings that do not wait long.
pub(crate) fn quick() -> Settings {
    let mut settings = Settings { credentials: DockerConfig::new(Vec::new()), ..Settings::default() };
    settings.timeouts.first_pause = Duration::from_millis(5);
    settings.timeouts.longest_pause = Duration::from_millis(100);
    settings.timeouts.silence = Duration::from_secs(5);
    settings
}

pub(crate) fn client() -> Registry {
    Registry::new(quick())
}

pub(crate) fn name(text: &str) -> Reference {
    text.parse().unwrap()
}
