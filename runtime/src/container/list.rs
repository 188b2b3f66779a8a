//! The containers of a store, as any rbuild sees them, and removing those that do not run.

use std::path::PathBuf;

use rbuild_image::digest::{ImageId, LayerId};
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;

use super::container::Config;
use super::error::ContainerError;
use super::folder::{self, Folder};
use super::id::ContainerId;
use super::names;
use super::state::State;

/// What is known about a container from its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: ContainerId,
    /// Its name; None for one that is just being made or removed.
    pub name: Option<String>,
    /// The image that it stands on.
    pub image: ImageId,
    /// As the user called the image.
    pub image_name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// How far it has come.
    pub state: State,
    /// It is removed when its program ends; without an rbuild that runs it, it is only waiting to be swept.
    pub remove: bool,
}

/// What a container has changed (the upper folder of its overlay), and the layers below, the uppermost first.
///
/// # Errors
/// When the store cannot be read.
pub fn file_system(store: &Store, id: &ContainerId) -> Result<(PathBuf, Vec<LayerId>), ContainerError> {
    let text = read(store, id, folder::LAYERS)?.unwrap_or_default();
    let layers = String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse().ok()).collect();
    Ok((store.path().join(folder::ALL).join(id.as_str()).join("upper"), layers))
}

/// What a container's file system has because it was started, and not because of what ran in it: docker has these in a
/// layer of their own. Without the first slash.
pub const MADE_AT_START: [&str; 9] = [
    "dev",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "proc",
    "sys",
];

/// All containers, the youngest first.
///
/// # Errors
/// When the store cannot be read.
pub fn list(store: &Store) -> Result<Vec<Listed>, ContainerError> {
    let mut names = names::all(store)?;
    let mut found = Vec::new();
    for id in ids(store)? {
        // One that vanished while we were looking is none.
        if let Some(config) = config(store, &id)? {
            let bytes = read(store, &id, folder::STATE)?.unwrap_or_default();
            let state = State::parse(&bytes).corrected(Folder::is_held(store, &id)?);
            found.push(Listed {
                name: names.remove(&id),
                id,
                image: config.image,
                image_name: config.image_name,
                command: config.argv,
                created: config.created,
                state,
                remove: config.settings.remove,
            });
        }
    }
    found.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    Ok(found)
}

/// Removes the containers that were to be removed at their end, and whose rbuild was killed before. Returns how many.
///
/// # Errors
/// When the store cannot be read or written.
pub fn sweep(store: &Store) -> Result<usize, ContainerError> {
    let mut swept = 0;
    for id in ids(store)? {
        swept += usize::from(sweep_one(store, &id)?);
    }
    Ok(swept)
}

/// Removes a container that does not run, with its changes and its own volumes; false when there is none.
///
/// # Errors
/// It runs, or cannot be removed.
pub fn remove(store: &Store, id: &ContainerId) -> Result<bool, ContainerError> {
    if config(store, id)?.is_none() {
        return Ok(false);
    }
    match Folder::hold(store, id)? {
        Some(folder) => discard(store, id, folder).map(|()| true),
        None if config(store, id)?.is_none() => Ok(false),
        None => Err(ContainerError::Running(id.clone())),
    }
}

/// As [`sweep`], for one container; whether it was removed.
pub(super) fn sweep_one(store: &Store, id: &ContainerId) -> Result<bool, ContainerError> {
    let Some(folder) = Folder::hold(store, id)? else { return Ok(false) };
    if !config(store, id)?.is_some_and(|config| config.settings.remove) {
        return Ok(false);
    }
    discard(store, id, folder).map(|()| true)
}

fn discard(store: &Store, id: &ContainerId, folder: Folder) -> Result<(), ContainerError> {
    if let Some(name) = names::all(store)?.get(id) {
        names::release(store, name, id)?;
    }
    folder.remove(store)
}

fn ids(store: &Store) -> Result<Vec<ContainerId>, ContainerError> {
    let path = store.path().join(folder::ALL);
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ContainerError::io("list", path)(error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(ContainerError::io("list", &path))?.file_name();
        ids.extend(name.to_str().and_then(|name| name.parse().ok()));
    }
    Ok(ids)
}

/// None for a container that is gone, or that a loss of power took the config of.
fn config(store: &Store, id: &ContainerId) -> Result<Option<Config>, ContainerError> {
    Ok(read(store, id, folder::CONFIG)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn read(store: &Store, id: &ContainerId, file: &str) -> Result<Option<Vec<u8>>, ContainerError> {
    let path = store.path().join(folder::ALL).join(id.as_str()).join(file);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ContainerError::io("read", path)(error)),
    }
}
