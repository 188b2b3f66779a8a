//! Opening a store.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::{self, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::StoreError;
use super::layers::Known;
use super::lease::Lease;
use crate::layer::Flavour;

const VERSION: &str = "v1";
const FOLDERS: [&str; 10] =
    ["tmp", "layers", "diffids", "blobs/sha256", "images", "names", "records", "logs", "leases", "steps"];

/// An open store. Clones share everything; it may be used from any number of threads.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    dir: OwnedFd,
    flavour: Flavour,
    read_only: bool,
    life: OnceLock<String>,
    boot: OnceLock<String>,
    lease: OnceLock<Lease>,
    layers: Mutex<Known>,
    lower: Option<Store>,
    added: AtomicU64,
    held: Mutex<Vec<File>>,
}

impl Store {
    /// Opens the store in `root`, making it if it is not there. Nothing is repaired or swept here.
    ///
    /// # Errors
    /// When a folder cannot be made, or the store belongs to the other flavour.
    pub fn open(root: &Path, flavour: Flavour) -> Result<Self, StoreError> {
        Self::open_with(root, flavour, None)
    }

    pub(super) fn open_with(root: &Path, flavour: Flavour, lower: Option<Self>) -> Result<Self, StoreError> {
        let path = root.join(VERSION);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match fs::openat(CWD, &path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                make_parents(root)?;
                make(CWD, &path)?;
                fs::openat(CWD, &path, flags, Mode::empty())
            }
            other => other,
        }
        .map_err(StoreError::io("open", &path))?;
        let store = Self::at(path, dir, flavour, lower, false);
        store.check_flavour(root)?;
        store.settle_in()?;
        Ok(store)
    }

    /// Opens a store that is there, and makes nothing in it.
    pub(super) fn open_read_only(root: &Path, flavour: Flavour) -> Result<Self, StoreError> {
        let path = root.join(VERSION);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match fs::openat(CWD, &path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(StoreError::NoStore(root.to_owned())),
            other => other.map_err(StoreError::io("open", &path))?,
        };
        let store = Self::at(path, dir, flavour, None, true);
        match store.made_as()? {
            Some(made) if made == flavour => {
                store.settle_in()?;
                Ok(store)
            }
            Some(made) => Err(StoreError::LowerFlavour { root: root.to_owned(), made, used: flavour }),
            None => Err(StoreError::NoStore(root.to_owned())),
        }
    }

    fn at(path: PathBuf, dir: OwnedFd, flavour: Flavour, lower: Option<Self>, read_only: bool) -> Self {
        // Absolute, because others mount from it, and they may have another working directory.
        let path = std::path::absolute(&path).unwrap_or(path);
        let inner = Inner {
            path,
            dir,
            flavour,
            read_only,
            life: OnceLock::new(),
            boot: OnceLock::new(),
            lease: OnceLock::new(),
            layers: Mutex::default(),
            lower,
            added: AtomicU64::new(0),
            held: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// It lies below another one.
    pub(super) fn is_read_only(&self) -> bool {
        self.inner.read_only
    }

    fn settle_in(&self) -> Result<(), StoreError> {
        let life = self.find_life()?;
        // Nobody else has the store yet.
        let _ = self.inner.life.set(life);
        Ok(())
    }

    /// In which life of the store this is, see `whereabouts`; empty in the first.
    pub(super) fn life(&self) -> &str {
        self.inner.life.get().map_or("", String::as_str)
    }

    /// The store below, if there is one.
    pub(super) fn lower(&self) -> Option<&Self> {
        self.inner.lower.as_ref()
    }

    /// The folder with the store's version, absolute.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Which attributes its layers carry.
    pub fn flavour(&self) -> Flavour {
        self.inner.flavour
    }

    /// Bytes of layers that came into the store by this process. Zero means that it did not grow.
    pub fn added(&self) -> u64 {
        self.inner.added.load(Ordering::Relaxed)
    }

    /// Keeps a locked file open as long as this store is: a lock that ends with the use of the store.
    pub fn hold(&self, lock: File) {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
    }

    pub(super) fn count_added(&self, bytes: u64) {
        self.inner.added.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The folder with the store's version.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.inner.dir.as_fd()
    }

    pub(super) fn known_layers(&self) -> &Mutex<Known> {
        &self.inner.layers
    }

    pub(super) fn lease_cell(&self) -> &OnceLock<Lease> {
        &self.inner.lease
    }

    /// What tells this boot of the machine, and this life of the store, from every other; empty where the kernel does not say, which makes no
    /// layer look like one of another boot.
    pub(super) fn boot_id(&self) -> &str {
        self.inner.boot.get_or_init(|| {
            let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            format!("{} {}", id.trim(), self.life()).trim_end().to_owned()
        })
    }

    /// Makes a folder in the store, unless it is there.
    pub(super) fn make_folder(&self, name: &str) -> Result<(), StoreError> {
        make(self.dir(), name)
    }

    /// Which flavour the store was made with; None if that is not written down.
    fn made_as(&self) -> Result<Option<Flavour>, StoreError> {
        Ok(match &self.read_small("flavour")?.unwrap_or_default()[..] {
            b"trusted\n" => Some(Flavour::Trusted),
            b"user\n" => Some(Flavour::User),
            b"single\n" => Some(Flavour::Single),
            _ => None,
        })
    }

    fn write_flavour(&self, flavour: Flavour) -> Result<(), StoreError> {
        let text = match flavour {
            Flavour::Trusted => "trusted\n",
            Flavour::User => "user\n",
            Flavour::Single => "single\n",
        };
        self.write_small("flavour", text.as_bytes())
    }

    fn check_flavour(&self, root: &Path) -> Result<(), StoreError> {
        let used = self.inner.flavour;
        let made = match self.made_as()? {
            Some(made) => made,
            // Not there yet, or cut off by a loss of power right after the first use: the folders come first.
            None => {
                for folder in FOLDERS {
                    let mut part = String::new();
                    for name in folder.split('/') {
                        part = if part.is_empty() { name.to_owned() } else { format!("{part}/{name}") };
                        make(self.dir(), &part)?;
                    }
                }
                self.write_flavour(used)?;
                used
            }
        };
        // Without layers no file has an owner yet.
        if (made, used) == (Flavour::User, Flavour::Single) && self.names_in("layers")?.is_empty() {
            return self.write_flavour(used);
        }
        if made == used { Ok(()) } else { Err(StoreError::Flavour { root: root.to_owned(), made, used }) }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).field("flavour", &self.inner.flavour).finish()
    }
}

fn make_parents(root: &Path) -> Result<(), StoreError> {
    let mut missing: Vec<&Path> =
        root.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    missing.reverse();
    missing.into_iter().try_for_each(|path| make(CWD, path))
}

/// Only its owner may look into a store: layers hold setuid programs of strangers.
fn make<P: AsRef<Path>>(dir: BorrowedFd<'_>, path: P) -> Result<(), StoreError> {
    let path = path.as_ref();
    match fs::mkdirat(dir, path, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(StoreError::io("create", path)(error)),
    }
}
