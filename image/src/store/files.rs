//! Small files of the store: written whole or not at all.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Store, StoreError};

/// No file that is read whole is larger.
const MAX_SMALL_FILE: usize = 64 << 20;

impl Store {
    /// Puts a file in its place by one rename. A reader sees the old bytes or the new ones; after a loss of power it
    /// may see an empty file, which every reader of ours takes for none. `path` is relative to [`Store::path`], and its
    /// folder is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_small(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        loop {
            let temporary = format!("tmp/{}", unique());
            let file = fs::openat(
                self.dir(),
                &temporary,
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o644),
            )
            .map_err(StoreError::io("create", &temporary))?;
            // The lock tells sweepers that somebody is at it.
            fs::flock(&file, FlockOperation::LockExclusive).map_err(StoreError::io("lock", &temporary))?;
            write_all(&file, bytes).map_err(StoreError::io("write", &temporary))?;
            match fs::renameat(self.dir(), &temporary, self.dir(), path) {
                Ok(()) => return Ok(()),
                // A sweeper came between creating and locking, and took it for left behind.
                Err(Errno::NOENT)
                    if fs::statat(self.dir(), &temporary, fs::AtFlags::empty()).is_err()
                        && self.has_parent(path) => {}
                Err(error) => {
                    let _ = fs::unlinkat(self.dir(), &temporary, fs::AtFlags::empty());
                    return Err(StoreError::io("write", path)(error));
                }
            }
        }
    }

    /// Writes a file that is in a temporary folder, and gets its place when the folder does.
    pub(super) fn write_within(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = fs::openat(self.dir(), path, flags, Mode::from_raw_mode(0o644))
            .map_err(StoreError::io("create", path))?;
        write_all(&file, bytes).map_err(StoreError::io("write", path))
    }

    /// A small file's bytes; None when there is none.
    pub(crate) fn read_small(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match fs::openat(self.dir(), path, flags, Mode::empty()) {
            Ok(file) => read_all(&file).map(Some).map_err(StoreError::io("read", path)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(StoreError::io("open", path)(error)),
        }
    }

    /// Removes a file; false when there was none.
    pub(crate) fn remove_small(&self, path: &str) -> Result<bool, StoreError> {
        match fs::unlinkat(self.dir(), path, fs::AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(StoreError::io("remove", path)(error)),
        }
    }

    /// The names in one of the store's folders, sorted; none when the folder is not there.
    pub(crate) fn names_in(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match fs::openat(self.dir(), folder, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("open", folder)(error)),
        };
        let names = crate::layer::names(dir.as_fd()).map_err(StoreError::io("list", folder))?;
        let mut names: Vec<String> =
            names.into_iter().filter_map(|(name, _)| name.to_str().ok().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn has_parent(&self, path: &str) -> bool {
        let parent = path.rsplit_once('/').map_or(".", |(parent, _)| parent);
        fs::statat(self.dir(), parent, fs::AtFlags::empty()).is_ok()
    }
}

/// A name that no other thread or process uses.
pub(super) fn unique() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let pid = rustix::process::getpid().as_raw_pid();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    // Processes of several pid namespaces can share a store: the clock tells them apart.
    format!("{pid}-{count}-{:x}{:08x}", now.tv_sec, now.tv_nsec)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_all(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; 4096];
    let mut length = 0;
    loop {
        match rustix::io::read(file, &mut bytes[length..]) {
            Ok(0) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        if length == bytes.len() {
            if length >= MAX_SMALL_FILE {
                return Err(Errno::FBIG);
            }
            bytes.resize(length * 2, 0);
        }
    }
}
