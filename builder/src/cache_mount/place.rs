//! The files of one cache in the store.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rbuild_image::layer::{Owner, Owners, merge_upper};
use rbuild_image::store::{Store, TempDir};
use serde::{Deserialize, Serialize};

use super::lock::{Hold, Lock, Patience};
use super::{CacheError, CacheIdentity, FOLDER, folder_of};

/// Ends the name of the file that says what a cache is.
pub(super) const CARD: &str = ".json";

/// What a cache is: the owned form of a [`CacheIdentity`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) id: String,
    pub(super) owner: Option<(u32, u32, u32)>,
    pub(super) content: Option<String>,
}

impl Card {
    pub(super) fn of(identity: &CacheIdentity<'_>) -> Self {
        let CacheIdentity { id, owner, content } = *identity;
        Self { id: id.to_owned(), owner, content: content.map(str::to_owned) }
    }

    pub(super) fn identity(&self) -> CacheIdentity<'_> {
        CacheIdentity { id: &self.id, owner: self.owner, content: self.content.as_deref() }
    }
}

/// Where one cache is, whether it is there or not.
#[derive(Debug, Clone)]
pub(super) struct Place {
    store: Store,
    pub(super) name: String,
}

impl Place {
    pub(super) fn new(store: &Store, name: impl Into<String>) -> Self {
        Self { store: store.clone(), name: name.into() }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn files(&self) -> PathBuf {
        self.beside("")
    }

    pub(super) fn changes(&self) -> PathBuf {
        self.beside(".changes")
    }

    pub(super) fn next(&self) -> PathBuf {
        self.beside(".next")
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.beside(".lock")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        folder_of(&self.store).join(format!("{}{suffix}", self.name))
    }

    pub(super) fn exists(&self) -> bool {
        self.files().is_dir()
    }

    /// Somebody was killed after the moment that counts, and before everything was in its place.
    pub(super) fn is_unsettled(&self) -> bool {
        self.changes().exists() || self.next().exists()
    }

    pub(super) fn try_lock(&self, hold: Hold) -> Result<Option<Lock>, CacheError> {
        make_folder(&self.store)?;
        Lock::try_take(&self.lock_file(), hold)
    }

    pub(super) fn lock(&self, hold: Hold, patience: Patience<'_>) -> Result<Lock, CacheError> {
        make_folder(&self.store)?;
        Lock::take(&self.lock_file(), hold, patience)
    }

    /// Finishes what was decided. The caller holds the exclusive lock.
    pub(super) fn settle(&self) -> Result<(), CacheError> {
        let (files, changes, next) = (self.files(), self.changes(), self.next());
        if next.exists() {
            self.clear()?;
            fs::rename(&next, &files).map_err(CacheError::io("move", &next))?;
        }
        if changes.exists() {
            let (upper, into) = (open(&changes)?, open(&files)?);
            merge_upper(upper.as_fd(), into.as_fd(), self.store.flavour())?;
            fs::remove_dir(&changes).map_err(CacheError::io("remove", &changes))?;
        }
        Ok(())
    }

    /// Takes the files away, in one step.
    pub(super) fn clear(&self) -> Result<(), CacheError> {
        let trash = self.store.temp()?;
        match fs::rename(self.files(), trash.path().join("files")) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(CacheError::io("remove", &self.files())(cause))
            }
            _ => Ok(()),
        }
    }

    /// Removes everything; the caller gives up the exclusive lock with it.
    pub(super) fn remove(&self, lock: Lock) -> Result<(), CacheError> {
        let trash = self.store.temp()?;
        // What was about to be merged first: without its cache it would be nothing.
        for path in [self.changes(), self.next(), self.files(), self.beside(CARD)] {
            let name = path.file_name().expect("it has a name");
            match fs::rename(&path, trash.path().join(name)) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(CacheError::io("remove", &path)(cause));
                }
                _ => {}
            }
        }
        lock.remove()
    }

    /// What the cache is; None for one that an earlier version made.
    pub(super) fn card(&self) -> Option<Card> {
        serde_json::from_slice(&fs::read(self.beside(CARD)).ok()?).ok()
    }

    /// Writes down what the cache is, unless that is known.
    pub(super) fn label(&self, card: &Card) -> Result<(), CacheError> {
        if self.beside(CARD).exists() {
            return Ok(());
        }
        let json = serde_json::to_vec(card).expect("strings and numbers");
        Ok(self.store.write_small(&format!("{FOLDER}/{}{CARD}", self.name), &json)?)
    }
}

/// Makes the folder that a new cache starts with, in `temp`.
pub(super) fn make_files(
    temp: &TempDir,
    identity: &CacheIdentity<'_>,
    owners: Owners,
) -> Result<PathBuf, CacheError> {
    use std::os::unix::fs::PermissionsExt;
    let (uid, gid, mode) = identity.owner.unwrap_or((0, 0, 0o755));
    let path = temp.path().join("files");
    fs::create_dir(&path)
        .and_then(|()| Ok(owners.give(File::open(&path)?.as_fd(), Owner { uid, gid })?))
        .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(mode & 0o7777)))
        .map_err(CacheError::io("create", &path))?;
    Ok(path)
}

/// Opens a folder.
pub(super) fn open(path: &Path) -> Result<File, CacheError> {
    File::open(path).map_err(CacheError::io("open", path))
}

fn make_folder(store: &Store) -> Result<(), CacheError> {
    let folder = folder_of(store);
    fs::create_dir_all(&folder).map_err(CacheError::io("create", &folder))
}
