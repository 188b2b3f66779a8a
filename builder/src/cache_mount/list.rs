//! Looking at the caches of a store, and removing them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;

use super::lock::{Hold, holders};
use super::place::{CARD, Place};
use super::{CacheError, FOLDER, folder_of};

/// A cache of the store.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Of its folder: hexadecimal digits, and a number for a further one of `sharing=private`.
    pub name: String,
    /// `id=`, or the target of the mount that made it; None for one that an earlier version made.
    pub id: Option<String>,
    /// uid, gid and mode, if the Dockerfile gives any of them.
    pub owner: Option<(u32, u32, u32)>,
    /// Digest of the files that it began with.
    pub start: Option<String>,
    /// What it takes of the disk.
    pub bytes: u64,
    /// When a step began to use it last.
    pub last_used: Option<Timestamp>,
    /// Some process has it right now.
    pub in_use: bool,
    /// Those that can be seen.
    pub users: Vec<u32>,
    /// Its files.
    pub path: PathBuf,
}

/// All caches, by name. What killed processes have left undone is done first.
///
/// # Errors
/// The store cannot be read.
pub fn list(store: &Store) -> Result<Vec<Cache>, CacheError> {
    let mut caches = Vec::new();
    for place in places(store)? {
        caches.extend(look(&place)?);
    }
    Ok(caches)
}

/// The caches that `text` means: all of that id, or those whose names begin so.
///
/// # Errors
/// There is none.
pub fn find(store: &Store, text: &str) -> Result<Vec<Cache>, CacheError> {
    let all = list(store)?;
    let by_id: Vec<Cache> = all.iter().filter(|cache| cache.id.as_deref() == Some(text)).cloned().collect();
    if !by_id.is_empty() {
        return Ok(by_id);
    }
    let by_name: Vec<Cache> =
        all.into_iter().filter(|cache| !text.is_empty() && cache.name.starts_with(text)).collect();
    if by_name.is_empty() { Err(CacheError::NotFound(text.to_owned())) } else { Ok(by_name) }
}

/// Removes a cache.
///
/// # Errors
/// Somebody uses it, or its files cannot be removed.
pub fn remove(store: &Store, cache: &Cache) -> Result<(), CacheError> {
    let place = Place::new(store, &*cache.name);
    match place.try_lock(Hold::Exclusive)? {
        Some(lock) => place.remove(lock),
        None => Err(CacheError::InUse {
            id: cache.id.clone().unwrap_or_else(|| cache.name.clone()),
            users: holders(&place.lock_file()),
        }),
    }
}

/// Removes the caches that no build uses right now.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_unused(store: &Store) -> Result<(), CacheError> {
    for place in places(store)? {
        if let Some(lock) = place.try_lock(Hold::Exclusive)? {
            place.remove(lock)?;
        }
    }
    Ok(())
}

/// Everything that has files, a card or something unfinished.
fn places(store: &Store) -> Result<Vec<Place>, CacheError> {
    let folder = folder_of(store);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(CacheError::io("list", &folder)(cause)),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(CacheError::io("list", &folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (stem, suffix) = name.find('.').map_or((&*name, ""), |dot| name.split_at(dot));
        if matches!(suffix, "" | ".changes" | ".next" | CARD) {
            names.insert(stem.to_owned());
        }
    }
    Ok(names.into_iter().map(|name| Place::new(store, name)).collect())
}

fn look(place: &Place) -> Result<Option<Cache>, CacheError> {
    let lock_file = place.lock_file();
    let last_used = fs::metadata(&lock_file).and_then(|meta| meta.modified()).ok().map(Timestamp::from);
    let mut users = holders(&lock_file);
    let mut in_use = !users.is_empty();
    // Processes of other PID namespaces are not in the list, so the lock itself is asked.
    if !in_use {
        match place.try_lock(Hold::Exclusive)? {
            Some(_lock) => place.settle()?,
            None => {
                in_use = true;
                users = holders(&lock_file);
            }
        }
    }
    if !place.exists() {
        return Ok(None);
    }
    let (id, owner, start) = match place.card() {
        Some(card) => (Some(card.id), card.owner, card.content),
        None => (None, None, None),
    };
    let bytes = place.store().disk_usage(&format!("{FOLDER}/{}", place.name))?;
    let (name, path) = (place.name.clone(), place.files());
    Ok(Some(Cache { name, id, owner, start, bytes, last_used, in_use, users, path }))
}
