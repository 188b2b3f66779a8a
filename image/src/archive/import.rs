//! Making an image of a bare root file system.

use std::io::Read;

use super::error::ArchiveError;
use super::ingest::ingest;
use crate::config::{ContainerConfig, History, ImageConfig, LayersKind, RootFs};
use crate::digest::ImageId;
use crate::platform::Platform;
use crate::store::Store;
use crate::time::Timestamp;

/// What an imported image is to be, apart from its files.
#[derive(Debug, Clone)]
pub struct Import {
    /// How containers of it start.
    pub config: ContainerConfig,
    /// Stands in the history; docker's is `Imported from -`.
    pub message: String,
    /// When it is made.
    pub created: Timestamp,
    /// What it runs on.
    pub platform: Platform,
}

/// Makes an image with one layer of the tar of a root file system, plain or compressed, as `docker import` does.
///
/// # Errors
/// When the tar is damaged or cannot be stored. The store is then as before.
pub fn import(store: &Store, tar: impl Read + Send, import: Import) -> Result<ImageId, ArchiveError> {
    let ready = ingest(store, "root file system", tar, None)?;
    let mut config = ImageConfig {
        config: import.config,
        created: Some(import.created),
        history: vec![History {
            created: Some(import.created),
            comment: import.message,
            ..History::default()
        }],
        rootfs: RootFs { kind: LayersKind::Layers, diff_ids: vec![ready.diff_id] },
        ..ImageConfig::default()
    };
    config.set_platform(&import.platform);
    let layer = match store.by_diff_id(ready.diff_id)? {
        Some(layer) => layer,
        None => ready.publish(store)?,
    };
    let layers = store.settle(&[layer])?;
    store.make_durable(&layers)?;
    Ok(store.put_image(&config.to_bytes(), &layers)?)
}
