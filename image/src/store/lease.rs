//! What a running process uses cannot be pruned.
//!
//! A process that asks for a layer writes its name into a file of its own and only then looks whether the layer is
//! there, both under the shared lock; pruning reads all such files and moves layers away under the exclusive one. The
//! file is locked as long as the process lives, so the lease of a dead process is recognised and removed. A container
//! that outlives its process lists the layers that it stands on in `containers/<id>/layers`; a kept failed step does the
//! same.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::failed::FAILED;
use super::files::unique;
use super::{Store, StoreError};
use crate::digest::LayerId;

/// Layers that must not be removed, with those who use them.
pub type LayerUsers = BTreeMap<LayerId, BTreeSet<LayerUser>>;

/// Who uses a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerUser {
    /// A running process, by its id as it sees itself.
    Process(u32),
    /// A container, running or not, by the name of its folder.
    Container(String),
    /// A kept failed step, by the name of its folder.
    FailedStep(String),
}

/// This process's lease.
#[derive(Debug)]
pub(super) struct Lease {
    name: String,
    file: OwnedFd,
    lock: OwnedFd,
    held: Mutex<BTreeSet<LayerId>>,
    store_dir: OwnedFd,
}

impl Store {
    /// Leases a layer to this process and then runs `look`, while nobody prunes.
    pub(super) fn with_lease<T>(
        &self,
        id: LayerId,
        look: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lease = self.lease()?;
        let mut held = lease.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.contains(&id) {
            // The guard of `held` also keeps our other threads from unlocking under us.
            fs::flock(&lease.lock, FlockOperation::LockShared).map_err(StoreError::io("lock", "lock"))?;
            let written = add_line(&lease.file, id).map_err(StoreError::io("write", &lease.name));
            let result = written.and_then(|()| look());
            fs::flock(&lease.lock, FlockOperation::Unlock).map_err(StoreError::io("unlock", "lock"))?;
            let value = result?;
            held.insert(id);
            return Ok(value);
        }
        drop(held);
        look()
    }

    /// Runs `remove` while no process can begin to use a layer, with the layers that are in use.
    pub(super) fn excluding_leases<T>(
        &self,
        remove: impl FnOnce(&LayerUsers) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lock = self.open_lock()?;
        fs::flock(&lock, FlockOperation::LockExclusive).map_err(StoreError::io("lock", "lock"))?;
        let mut users = LayerUsers::new();
        for name in self.names_in("leases")? {
            let path = format!("leases/{name}");
            if self.is_dead(&path)? {
                self.remove_small(&path)?;
                continue;
            }
            let process = name.split('-').next().and_then(|pid| pid.parse().ok()).unwrap_or_default();
            for layer in self.layers_listed_in(&path)? {
                users.entry(layer).or_default().insert(LayerUser::Process(process));
            }
        }
        let container = |name: &str| LayerUser::Container(name.to_owned());
        let failed = |name: &str| LayerUser::FailedStep(name.to_owned());
        self.used_by_folders("containers", container, &mut users)?;
        self.used_by_folders(FAILED, failed, &mut users)?;
        remove(&users)
    }

    /// The layers that running processes, containers and kept failed steps use, this process included.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn layers_in_use(&self) -> Result<LayerUsers, StoreError> {
        self.excluding_leases(|users| Ok(users.clone()))
    }

    /// Adds the layers that the folders in `all` list.
    fn used_by_folders(
        &self,
        all: &str,
        user: impl Fn(&str) -> LayerUser,
        users: &mut LayerUsers,
    ) -> Result<(), StoreError> {
        for name in self.names_in(all)? {
            for layer in self.layers_listed_in(&format!("{all}/{name}/layers"))? {
                users.entry(layer).or_default().insert(user(&name));
            }
        }
        Ok(())
    }

    fn layers_listed_in(&self, path: &str) -> Result<Vec<LayerId>, StoreError> {
        let text = self.read_small(path)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse().ok()).collect())
    }

    pub(super) fn lease(&self) -> Result<&Lease, StoreError> {
        if let Some(lease) = self.lease_cell().get() {
            return Ok(lease);
        }
        let lease = self.make_lease()?;
        // A thread that came second drops its own, which removes the file.
        Ok(self.lease_cell().get_or_init(|| lease))
    }

    fn make_lease(&self) -> Result<Lease, StoreError> {
        let lock = self.open_lock()?;
        let name = format!("leases/{}", unique());
        // Under the shared lock, so that nobody takes the file for a dead process's before it is locked.
        fs::flock(&lock, FlockOperation::LockShared).map_err(StoreError::io("lock", "lock"))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND | OFlags::CLOEXEC;
        let file = fs::openat(self.dir(), &name, flags, Mode::from_raw_mode(0o600))
            .map_err(StoreError::io("create", &name))?;
        fs::flock(&file, FlockOperation::LockExclusive).map_err(StoreError::io("lock", &name))?;
        fs::flock(&lock, FlockOperation::Unlock).map_err(StoreError::io("unlock", "lock"))?;
        let store_dir =
            rustix::io::fcntl_dupfd_cloexec(self.dir(), 0).map_err(StoreError::io("open", "."))?;
        Ok(Lease { name, file, lock, held: Mutex::default(), store_dir })
    }

    fn open_lock(&self) -> Result<OwnedFd, StoreError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        fs::openat(self.dir(), "lock", flags, Mode::from_raw_mode(0o600))
            .map_err(StoreError::io("open", "lock"))
    }

    fn is_dead(&self, path: &str) -> Result<bool, StoreError> {
        let file = match fs::openat(self.dir(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(true),
            Err(error) => return Err(StoreError::io("open", path)(error)),
        };
        match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(StoreError::io("lock", path)(error)),
        }
    }
}

/// On a line of its own, also after one that a full disk has cut off.
fn add_line(file: &OwnedFd, id: LayerId) -> Result<(), Errno> {
    let line = format!("\n{id}\n");
    let written = rustix::io::retry_on_intr(|| rustix::io::write(file, line.as_bytes()))?;
    // Half a name protects nothing.
    if written == line.len() { Ok(()) } else { Err(Errno::NOSPC) }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A file that stays is a dead process's, and goes with the next prune.
        let _ = fs::unlinkat(&self.store_dir, &self.name, AtFlags::empty());
    }
}
