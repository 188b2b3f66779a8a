//! The caches of a RUN: each taken once, in an order that is the same for all steps, so that no two wait for each
//! other.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rbuild_parser::plan::{Copy, Mount, MountKind, Run, Sharing, Step};
use rbuild_runtime::sandbox::MountSource;

use super::copy::Top;
use super::mounts::files;
use super::{StepFailure, copy};
use crate::cache_mount::{
    self, Access, CacheError, CacheIdentity, CacheMount, Locked, Patience, Start, Wish,
};
use crate::event::{Awaited, Event};
use crate::session::Session;

/// The caches that a step has, by name.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    taken: BTreeMap<String, CacheMount>,
}

/// What the mounts of one cache ask for together.
struct Wanted<'a> {
    identity: Owned<'a>,
    sharing: Sharing,
    writes: bool,
    start: Option<Copy>,
}

/// A [`CacheIdentity`] whose content was computed here.
struct Owned<'a> {
    id: &'a str,
    owner: Option<(u32, u32, u32)>,
    content: Option<String>,
}

impl Owned<'_> {
    fn borrow(&self) -> CacheIdentity<'_> {
        CacheIdentity { id: self.id, owner: self.owner, content: self.content.as_deref() }
    }
}

/// Takes the caches that a step mounts, waiting for others where it must. In a build without a cache, caches start
/// empty too (as recorded of BuildKit), but only once: the steps of one build share them.
pub(crate) fn take(
    session: &Session<'_>,
    step: &Step,
    run: &Run,
    without_cache: bool,
) -> Result<Caches, StepFailure> {
    let mut wanted: BTreeMap<String, Wanted<'_>> = BTreeMap::new();
    for mount in &run.mounts {
        let Some(new) = want(session, mount)? else { continue };
        let name = new.identity.borrow().folder_name();
        match wanted.get_mut(&name) {
            Some(known) => {
                known.writes |= new.writes;
                known.sharing = stricter(known.sharing, new.sharing);
            }
            None => drop(wanted.insert(name, new)),
        }
    }
    let mut taken = BTreeMap::new();
    for (name, wanted) in wanted {
        let anew = without_cache && session.first_use(&name);
        let mount = take_one(session, step, &wanted, if anew { Start::Anew } else { Start::Kept });
        taken.insert(name, mount.map_err(|failure| named(failure, wanted.identity.id))?);
    }
    Ok(Caches { taken })
}

impl Caches {
    /// What is mounted for `mount`, if it is a cache.
    pub(crate) fn source(
        &self,
        session: &Session<'_>,
        mount: &Mount,
    ) -> Result<Option<MountSource>, StepFailure> {
        let (Some(wanted), MountKind::Cache { source, .. }) = (want(session, mount)?, &mount.kind) else {
            return Ok(None);
        };
        let taken = &self.taken[&wanted.identity.borrow().folder_name()];
        let source = match taken.access() {
            Access::Folder(folder) => MountSource::Bind(confined(&folder, source).map_err(|cause| {
                StepFailure::io(&format!("open {source} in the cache {:?}", wanted.identity.id), &cause)
            })?),
            Access::Overlay(transaction) => MountSource::Overlay {
                lowers: vec![transaction.lower().to_owned()],
                source: format!("/{}", source.trim_matches('/')),
                upper: transaction.upper(),
                work: transaction.work(),
            },
        };
        Ok(Some(source))
    }

    /// The step has succeeded, and its changes count.
    pub(crate) fn commit(self) -> Result<(), StepFailure> {
        self.taken.into_values().try_for_each(CacheMount::commit).map_err(|cause| {
            StepFailure::new(format!("failed to keep what the step left in a cache: {cause}"))
        })
    }
}

fn want<'a>(session: &Session<'_>, mount: &'a Mount) -> Result<Option<Wanted<'a>>, StepFailure> {
    let MountKind::Cache { id, sharing, readonly, owner, from, .. } = &mount.kind else { return Ok(None) };
    let start = from.as_ref().map(|(from, source)| files(from, source));
    let content = start.as_ref().map(|files| copy::content(session, files, Top::New)).transpose()?;
    let identity = Owned { id, owner: *owner, content: content.map(|(digest, _)| digest) };
    Ok(Some(Wanted { identity, sharing: *sharing, writes: !readonly, start }))
}

fn take_one(
    session: &Session<'_>,
    step: &Step,
    wanted: &Wanted<'_>,
    start: Start,
) -> Result<CacheMount, StepFailure> {
    let told = Cell::new(false);
    let waits = |holders: &[u32]| {
        if !told.replace(true) {
            let (step, awaited) = (step.id.0 as usize, Awaited::Cache(wanted.identity.id));
            session.observer.on(Event::Waiting { step, awaited, holder: holders.first().copied() });
        }
    };
    let in_transaction = session.request.locked_caches == Locked::Transaction;
    let wish = Wish {
        identity: wanted.identity.borrow(),
        sharing: wanted.sharing,
        start,
        transaction: in_transaction && wanted.sharing == Sharing::Locked && wanted.writes,
        patience: Patience { go_on: &|| !session.cancel.requested(), waits: &waits },
    };
    cache_mount::take(session.store, &wish, |folder| match &wanted.start {
        Some(files) => copy::fill(session, files, folder),
        None => Ok(()),
    })
}

impl From<CacheError> for StepFailure {
    fn from(cause: CacheError) -> Self {
        Self::new(cause.to_string())
    }
}

fn named(failure: StepFailure, id: &str) -> StepFailure {
    StepFailure { message: format!("failed to open the cache {id:?}: {}", failure.message), ..failure }
}

fn stricter(one: Sharing, other: Sharing) -> Sharing {
    match (one, other) {
        (Sharing::Locked, _) | (_, Sharing::Locked) => Sharing::Locked,
        (Sharing::Private, _) | (_, Sharing::Private) => Sharing::Private,
        (Sharing::Shared, Sharing::Shared) => Sharing::Shared,
    }
}

/// A folder inside of a cache: links may not lead out of it.
fn confined(cache: &Path, source: &str) -> std::io::Result<PathBuf> {
    let inner = source.trim_matches('/');
    if inner.is_empty() {
        return Ok(cache.to_owned());
    }
    let path = std::fs::canonicalize(cache.join(inner))?;
    if path.starts_with(std::fs::canonicalize(cache)?) {
        return Ok(path);
    }
    Err(std::io::Error::other(format!("{source} leads out of the cache")))
}
