//! The folders behind `RUN --mount=type=cache`: they outlive builds and are never in a layer.
//!
//! A cache is identified by its id and by what it starts with (spec 3.2): owner and mode, or the files of
//! another state. Each is a folder `cache-mounts/<digest>` of the store with a lock file beside it: a shared
//! lock for `sharing=shared`, an exclusive one for `locked`; `private` takes the first of the folders
//! `<digest>`, `<digest>-1`, ... that nobody uses.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rbuild_image::store::Store;
use rbuild_parser::plan::Sharing;

/// A cache in use. Its lock is held as long as this lives.
#[derive(Debug)]
pub(crate) struct CacheMount {
    /// What is mounted.
    pub(crate) path: PathBuf,
    /// True if it was made just now, and may have to be filled.
    pub(crate) fresh: bool,
    _lock: File,
}

/// What distinguishes one cache from another.
#[derive(Debug)]
pub(crate) struct CacheIdentity<'a> {
    /// `id=`, or the target.
    pub(crate) id: &'a str,
    /// uid, gid and mode, if the Dockerfile gives any of them.
    pub(crate) owner: Option<(u32, u32, u32)>,
    /// Digest of the files that a new cache starts with.
    pub(crate) content: Option<&'a str>,
}

impl CacheIdentity<'_> {
    /// The name of the cache's folder.
    pub(crate) fn folder_name(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("rbuild 2026 cache mount");
        let text = serde_json::to_vec(&(self.id, self.owner, self.content)).expect("strings and numbers");
        hasher.update(&text);
        hasher.finalize().to_hex().to_string()
    }
}

/// Takes the cache `identity` below `folder`, waiting for others as `sharing` says.
pub(crate) fn take(folder: &Path, identity: &CacheIdentity<'_>, sharing: Sharing) -> io::Result<CacheMount> {
    std::fs::create_dir_all(folder)?;
    let name = identity.folder_name();
    match sharing {
        Sharing::Shared => {
            let lock = open_lock(folder, &name)?;
            lock.lock_shared()?;
            open(folder, &name, identity, lock)
        }
        Sharing::Locked => {
            let lock = open_lock(folder, &name)?;
            lock.lock()?;
            open(folder, &name, identity, lock)
        }
        Sharing::Private => take_private(folder, &name, identity),
    }
}

/// Takes the cache `identity` empty, whatever it held: the first use of it in a build without a cache. One that
/// others use at the moment is left to them.
pub(crate) fn take_empty(folder: &Path, identity: &CacheIdentity<'_>) -> io::Result<CacheMount> {
    std::fs::create_dir_all(folder)?;
    let name = identity.folder_name();
    let (name, lock) = lock_unused(folder, &name)?;
    let path = folder.join(&name);
    if path.try_exists()? {
        std::fs::remove_dir_all(&path)?;
    }
    open(folder, &name, identity, lock)
}

/// Removes the caches of a store that no build uses right now.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_unused(store: &Store) -> io::Result<()> {
    let folder = folder_of(store);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // The lock files stay: to remove one that somebody waits for would let two in.
        if entry.file_type()?.is_dir() && open_lock(&folder, &name)?.try_lock().is_ok() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Where the caches of a store are.
pub(crate) fn folder_of(store: &Store) -> PathBuf {
    store.path().join("cache-mounts")
}

fn take_private(folder: &Path, name: &str, identity: &CacheIdentity<'_>) -> io::Result<CacheMount> {
    let (name, lock) = lock_unused(folder, name)?;
    open(folder, &name, identity, lock)
}

/// The first of the folders of a cache that nobody uses, and the lock on it.
fn lock_unused(folder: &Path, name: &str) -> io::Result<(String, File)> {
    for number in 0.. {
        let name = if number == 0 { name.to_owned() } else { format!("{name}-{number}") };
        let lock = open_lock(folder, &name)?;
        match lock.try_lock() {
            Ok(()) => return Ok((name, lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    unreachable!("some number is free: each one taken is a running process")
}

fn open_lock(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(format!("{name}.lock")))
}

/// With the lock held: the folder, made if it is not there. A folder is given its name when it is whole.
fn open(folder: &Path, name: &str, identity: &CacheIdentity<'_>, lock: File) -> io::Result<CacheMount> {
    use std::os::unix::fs::{PermissionsExt, chown};
    let path = folder.join(name);
    let fresh = !path.try_exists()?;
    if fresh {
        let (uid, gid, mode) = identity.owner.unwrap_or((0, 0, 0o755));
        let new = folder.join(format!("{name}.{}.new", std::process::id()));
        std::fs::create_dir(&new)?;
        std::fs::set_permissions(&new, PermissionsExt::from_mode(mode & 0o777))?;
        chown(&new, Some(uid), Some(gid))?;
        match std::fs::rename(&new, &path) {
            Ok(()) => {}
            // Another process with a shared lock was faster.
            Err(_) if path.is_dir() => std::fs::remove_dir(&new)?,
            Err(error) => return Err(error),
        }
    }
    Ok(CacheMount { path, fresh, _lock: lock })
}

#[cfg(test)]
mod tests {
    use rbuild_parser::plan::Sharing;

    use super::{CacheIdentity, take};

    const PLAIN: CacheIdentity<'_> = CacheIdentity { id: "/root/.cache", owner: None, content: None };

    #[test]
    fn a_cache_is_found_again_by_id_and_start() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path(), &PLAIN, Sharing::Shared).unwrap();
        assert!(first.fresh);
        std::fs::write(first.path.join("kept"), "x").unwrap();
        let again = take(folder.path(), &PLAIN, Sharing::Shared).unwrap();
        assert!(!again.fresh);
        assert_eq!(std::fs::read_to_string(again.path.join("kept")).unwrap(), "x");
        let other = CacheIdentity { content: Some("abc"), ..PLAIN };
        assert_ne!(take(folder.path(), &other, Sharing::Shared).unwrap().path, first.path);
    }

    #[test]
    fn private_takes_one_that_nobody_uses() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path(), &PLAIN, Sharing::Private).unwrap();
        let second = take(folder.path(), &PLAIN, Sharing::Private).unwrap();
        assert_ne!(first.path, second.path);
        let path = first.path.clone();
        drop(first);
        assert_eq!(take(folder.path(), &PLAIN, Sharing::Private).unwrap().path, path);
    }
}
