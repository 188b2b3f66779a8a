//! A step gets its caches.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rbuild_image::store::Store;
use rbuild_parser::plan::Sharing;

use super::lock::{Hold, Lock, Patience};
use super::place::{Card, Place, make_files};
use super::transaction::Transaction;
use super::{CacheError, CacheIdentity};

/// What a step asks for.
pub(crate) struct Wish<'a> {
    pub(crate) identity: CacheIdentity<'a>,
    pub(crate) sharing: Sharing,
    pub(crate) start: Start,
    /// Changes count only if the step succeeds. Needs `sharing=locked`.
    pub(crate) transaction: bool,
    /// While somebody else has the cache.
    pub(crate) patience: Patience<'a>,
}

/// What the step is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// What there is.
    Kept,
    /// Nothing of what there is: the first use in a build without a cache.
    Anew,
}

/// A cache in use. Its lock is held as long as this lives.
#[derive(Debug)]
pub(crate) struct CacheMount {
    place: Place,
    card: Card,
    transaction: Option<Transaction>,
    // Last, so that it is given up last.
    _lock: Lock,
}

/// How the container gets at a cache.
#[derive(Debug)]
pub(crate) enum Access<'a> {
    /// The folder itself.
    Folder(PathBuf),
    /// An overlay.
    Overlay(&'a Transaction),
}

/// Takes a cache. `fill` puts files into a folder that is about to become one.
pub(crate) fn take<E: From<CacheError>>(
    store: &Store,
    wish: &Wish<'_>,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<CacheMount, E> {
    let name = wish.identity.folder_name();
    let place = Place::new(store, &*name);
    match (wish.sharing, wish.start) {
        (Sharing::Shared, Start::Kept) => shared(place, wish, fill),
        (Sharing::Locked, _) => {
            let lock = place.lock(Hold::Exclusive, wish.patience)?;
            exclusive(place, lock, wish, fill)
        }
        // One that others use at the moment is left to them.
        (Sharing::Shared, Start::Anew) => {
            let (place, lock) = first_unused(store, &name)?;
            drop(exclusive(place.clone(), lock, wish, fill)?);
            // Whoever comes in between shares it, too.
            shared(place, wish, |_| Ok(()))
        }
        (Sharing::Private, _) => {
            let (place, lock) = first_unused(store, &name)?;
            exclusive(place, lock, wish, fill)
        }
    }
}

impl CacheMount {
    /// How the container gets at it.
    pub(crate) fn access(&self) -> Access<'_> {
        match &self.transaction {
            Some(transaction) => Access::Overlay(transaction),
            None => Access::Folder(self.place.files()),
        }
    }

    /// The step has succeeded: its changes count.
    pub(crate) fn commit(self) -> Result<(), CacheError> {
        match self.transaction {
            Some(transaction) => {
                transaction.commit(&self.place)?;
                self.place.label(&self.card)
            }
            None => Ok(()),
        }
    }
}

/// With nobody else waiting: a cache that is whole and settled is only locked; otherwise it is first made so.
fn shared<E: From<CacheError>>(
    place: Place,
    wish: &Wish<'_>,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<CacheMount, E> {
    let mut fill = Some(fill);
    loop {
        let lock = place.lock(Hold::Shared, wish.patience)?;
        if place.exists() && !place.is_unsettled() {
            lock.touch();
            let card = Card::of(&wish.identity);
            place.label(&card)?;
            return Ok(CacheMount { place, card, transaction: None, _lock: lock });
        }
        drop(lock);
        // Who comes too late for this must not wait for it: somebody else may have made the cache and be using it, for
        // as long as a step takes.
        let Some(lock) = place.try_lock(Hold::Exclusive)? else {
            // Two that look at the same time shall not do so again.
            thread::sleep(Duration::from_millis(u64::from(std::process::id() % 7) + 1));
            continue;
        };
        match fill.take() {
            Some(fill) => drop(exclusive(place.clone(), lock, wish, fill)?),
            // Removed again before we had it: an empty one is as good as any that was just pruned.
            None => drop(exclusive(place.clone(), lock, wish, |_| Ok::<_, E>(()))?),
        }
    }
}

fn exclusive<E: From<CacheError>>(
    place: Place,
    lock: Lock,
    wish: &Wish<'_>,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<CacheMount, E> {
    place.settle()?;
    lock.touch();
    let card = Card::of(&wish.identity);
    let is_new = wish.start == Start::Anew || !place.exists();
    let mut transaction = None;
    if is_new {
        let temp = place.store().temp().map_err(CacheError::from)?;
        let files = make_files(&temp, &wish.identity, place.store().flavour().owners())?;
        fill(&files)?;
        if wish.transaction {
            transaction = Some(Transaction::anew(temp, files, place.store().flavour())?);
        } else {
            place.clear()?;
            fs::rename(&files, place.files()).map_err(CacheError::io("create", &place.files()))?;
        }
    } else if wish.transaction {
        let temp = place.store().temp().map_err(CacheError::from)?;
        transaction = Some(Transaction::over(temp, place.files(), place.store().flavour())?);
    }
    if transaction.is_none() {
        place.label(&card)?;
    }
    Ok(CacheMount { place, card, transaction, _lock: lock })
}

/// The first of the folders of a cache that nobody uses.
fn first_unused(store: &Store, name: &str) -> Result<(Place, Lock), CacheError> {
    for number in 0.. {
        let name = if number == 0 { name.to_owned() } else { format!("{name}-{number}") };
        let place = Place::new(store, name);
        if let Some(lock) = place.try_lock(Hold::Exclusive)? {
            return Ok((place, lock));
        }
    }
    unreachable!("some number is free: each one taken is a running process")
}
