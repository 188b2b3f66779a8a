//! Changes to a cache that count as a whole, or not at all.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rbuild_image::layer::{Flavour, copy_attributes, merge_upper};
use rbuild_image::store::TempDir;

use super::CacheError;
use super::place::{Place, open};

/// An overlay over a cache's files. Dropped without [`Transaction::commit`], it leaves nothing.
#[derive(Debug)]
pub(crate) struct Transaction {
    temp: TempDir,
    lower: PathBuf,
    /// The files below are not the cache's: all of it is to be replaced by them and the changes.
    replaces: bool,
    flavour: Flavour,
}

impl Transaction {
    /// Over the files that the cache has.
    pub(super) fn over(temp: TempDir, files: PathBuf, flavour: Flavour) -> Result<Self, CacheError> {
        Self::new(temp, files, false, flavour)
    }

    /// Over files in `temp`, which take the place of whatever the cache has.
    pub(super) fn anew(temp: TempDir, files: PathBuf, flavour: Flavour) -> Result<Self, CacheError> {
        Self::new(temp, files, true, flavour)
    }

    fn new(temp: TempDir, lower: PathBuf, replaces: bool, flavour: Flavour) -> Result<Self, CacheError> {
        let (upper, _) = (temp.make_dir("upper", 0o755)?, temp.make_dir("work", 0o755)?);
        // The root of an overlay looks as its upper folder does.
        copy_attributes(open(&lower)?.as_fd(), upper.as_fd(), flavour)?;
        Ok(Self { temp, lower, replaces, flavour })
    }

    /// What is below.
    pub(crate) fn lower(&self) -> &Path {
        &self.lower
    }

    /// Takes the changes.
    pub(crate) fn upper(&self) -> PathBuf {
        self.temp.path().join("upper")
    }

    /// Overlayfs's work directory.
    pub(crate) fn work(&self) -> PathBuf {
        self.temp.path().join("work")
    }

    /// Makes the changes part of the cache. The caller holds the exclusive lock. One rename decides: a kill before
    /// it leaves the cache as it was, and after it the next one who comes does the rest.
    pub(super) fn commit(self, place: &Place) -> Result<(), CacheError> {
        let upper = self.upper();
        if self.replaces {
            merge_upper(open(&upper)?.as_fd(), open(&self.lower)?.as_fd(), self.flavour)?;
            decide(&self.lower, &place.next())?;
        } else {
            decide(&upper, &place.changes())?;
        }
        place.settle()
    }
}

/// Nothing is synced, as nowhere in a build: a loss of power may cost the files of a cache that were written last.
fn decide(from: &Path, to: &Path) -> Result<(), CacheError> {
    fs::rename(from, to).map_err(CacheError::io("move", from))
}
