//! The lock during a build.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rbuild_image::digest::ManifestDigest;
use rbuild_image::store::Image;

use super::{ImagePin, Lock, LockError, LockFile, Mode};

/// What the lock says about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pin<T> {
    /// Nothing: it is looked up as always, and then told to the lock.
    Free,
    /// This, and nothing else.
    Fixed(T),
}

/// What a build knows of its lock.
#[derive(Debug)]
pub(crate) struct Pins {
    lock: Option<Lock>,
    /// What the file said before.
    old: LockFile,
    /// What holds for this build: to begin with nothing when everything is renewed.
    known: Mutex<LockFile>,
}

impl Pins {
    /// Reads the lock. Without one, every name is free.
    pub(crate) fn open(lock: Option<&Lock>) -> Result<Self, LockError> {
        let Some(lock) = lock else {
            return Ok(Self { lock: None, old: LockFile::default(), known: Mutex::default() });
        };
        let old = match (LockFile::load(&lock.file)?, lock.mode) {
            (Some(old), _) => old,
            (None, Mode::Keep) => {
                let cause = "no such file; build with --lock to make it".to_owned();
                return Err(LockError::Read { file: lock.file.clone(), cause });
            }
            (None, Mode::Add | Mode::Renew) => LockFile::default(),
        };
        let known = if lock.mode == Mode::Renew { LockFile::default() } else { old.clone() };
        Ok(Self { lock: Some(lock.clone()), old, known: Mutex::new(known) })
    }

    /// Whether names are looked up although the lock has them.
    pub(crate) fn renews(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.mode == Mode::Renew)
    }

    /// Whether there is a lock that wants to be told.
    pub(crate) fn learns(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.mode != Mode::Keep)
    }

    pub(crate) fn image(&self, name: &str) -> Result<Pin<ImagePin>, LockError> {
        self.find(name, |lock| lock.images.get(name).cloned())
    }

    /// `sha256:HEX`
    pub(crate) fn url(&self, url: &str) -> Result<Pin<String>, LockError> {
        self.find(url, |lock| lock.urls.get(url).cloned())
    }

    /// A commit, by what `GitUrl::reference_name` says.
    pub(crate) fn git(&self, name: &str) -> Result<Pin<String>, LockError> {
        self.find(name, |lock| lock.git.get(name).cloned())
    }

    pub(crate) fn tell_image(
        &self,
        name: &str,
        platform: &str,
        digest: Option<ManifestDigest>,
        image: &Image,
    ) {
        let mut known = self.known();
        let pin = known.images.entry(name.to_owned()).or_default();
        // The images of another digest are other images.
        if pin.digest != digest {
            *pin = ImagePin { digest, ..ImagePin::default() };
        }
        pin.ids.insert(platform.to_owned(), image.id);
    }

    pub(crate) fn tell_url(&self, url: &str, digest: &str) {
        self.known().urls.insert(url.to_owned(), digest.to_owned());
    }

    pub(crate) fn tell_git(&self, name: &str, commit: &str) {
        self.known().git.insert(name.to_owned(), commit.to_owned());
    }

    /// Writes down what is new.
    pub(crate) fn save(&self) -> Result<(), LockError> {
        let Some(lock) = self.lock.as_ref().filter(|lock| lock.mode != Mode::Keep) else { return Ok(()) };
        let mut new = self.old.clone();
        new.update(self.known().clone());
        if new == self.old && lock.file.exists() { Ok(()) } else { new.save(&lock.file) }
    }

    /// A name leads to something else than the lock says.
    pub(crate) fn differs(&self, what: &str, expected: &str, found: &str) -> LockError {
        let (what, expected, found) = (what.to_owned(), expected.to_owned(), found.to_owned());
        LockError::Differs { what, file: self.file(), expected, found }
    }

    /// What the lock says is not to be had.
    pub(crate) fn gone(&self, what: &str, expected: &str) -> LockError {
        LockError::Gone { what: what.to_owned(), file: self.file(), expected: expected.to_owned() }
    }

    fn find<T>(&self, what: &str, get: impl Fn(&LockFile) -> Option<T>) -> Result<Pin<T>, LockError> {
        let Some(lock) = &self.lock else { return Ok(Pin::Free) };
        match (get(&self.known()), lock.mode) {
            (Some(pin), _) => Ok(Pin::Fixed(pin)),
            (None, Mode::Add | Mode::Renew) => Ok(Pin::Free),
            (None, Mode::Keep) => Err(LockError::Missing { what: what.to_owned(), file: self.file() }),
        }
    }

    fn known(&self) -> MutexGuard<'_, LockFile> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> std::path::PathBuf {
        self.lock.as_ref().map(|lock| lock.file.clone()).unwrap_or_default()
    }
}
