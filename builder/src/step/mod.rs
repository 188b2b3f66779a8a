//! One step: from its key to its layer.
//!
//! [`perform`] is the whole way: inputs are results already; the key is computed; a record under it whose layer
//! is whole is a hit. Otherwise the step is made ([`run`], [`copy`], [`workdir`]) in a temporary folder of the
//! store, which becomes a layer by one rename, and a record.
//!
//! Invariants: nothing is in the store under its final name before it is whole; a step that failed leaves
//! nothing that another step could use; two rbuilds that need the same step run it once.

mod agent;
mod caches;
mod copy;
mod failure;
mod hosts;
pub(crate) mod log;
mod making;
mod mounts;
mod pump;
mod run;
mod workdir;
mod world;

use std::time::Instant;

use rbuild_image::digest::RecordKey;
use rbuild_image::layer::{Known, OwnTimes};
use rbuild_image::store::{Published, StoreError, TempDir};
use rbuild_image::time::Timestamp;
use rbuild_parser::plan::{Op, Step};

pub(crate) use copy::{Top, linked, materialize};
pub(crate) use failure::StepFailure;
pub(crate) use making::Making;
pub(crate) use mounts::{kept as kept_mounts, root as mount_root};
pub(crate) use run::hostname;
pub(crate) use world::World;

use crate::chain::Chain;
use crate::event::Event;
use crate::key::{FORMAT, StepKey, StepKeyKind, StepRecord};
use crate::session::{Session, StepResult};
use log::StepLog;

/// Does one step, or finds it done.
pub(crate) fn perform(session: &Session<'_>, step: &Step) -> Result<StepResult, StepFailure> {
    let begun = Instant::now();
    let parent = session.chain(&step.parent)?;
    let record = match &step.op {
        Op::Run(run) => run::perform(session, step, &parent, run),
        Op::Copy(copy) => copy::perform(session, step, &parent, copy),
        Op::Workdir(workdir) => workdir::perform(session, step, &parent, workdir),
    };
    let is_over = |failure: &StepFailure| !failure.again && !session.cancel.requested();
    // It failed on the way to its key: a file that it copies is not there.
    if record.as_ref().is_err_and(is_over) && session.trace.failed_early(step.id) {
        let step = step.id.0 as usize;
        session.observer.on(Event::Failed { step, duration: begun.elapsed() });
    }
    Ok(StepResult::new(&parent, &record?))
}

/// A key, complete.
pub(crate) fn key(parent: Option<&Chain>, kind: StepKeyKind) -> StepKey {
    StepKey { format: FORMAT, parent: parent.map(|chain| chain.digest().to_string()), kind }
}

/// The record under `key`, if there is one already.
pub(crate) fn find(
    session: &Session<'_>,
    step: &Step,
    key: &StepKey,
) -> Result<Option<StepRecord>, StepFailure> {
    if !session.may_use_cache(step) {
        return Ok(None);
    }
    let digest = key.digest();
    let Some(record) = session.cached(digest)? else { return Ok(None) };
    session.trace.keyed(step.id, digest);
    Ok(Some(hit(session, step, digest, record)))
}

/// The record under `key`: an earlier one, or that of the layer that `make` makes now.
///
/// `make` fills the layer's folder, and says which modification times in it are its own.
pub(crate) fn find_or_make(
    session: &Session<'_>,
    step: &Step,
    parent: &Chain,
    key: StepKey,
    make: impl FnOnce(&Making<'_>, &mut StepLog<'_>) -> Result<OwnTimes, StepFailure>,
) -> Result<StepRecord, StepFailure> {
    let digest = key.digest();
    let index = step.id.0 as usize;
    let cached = || if session.may_use_cache(step) { session.cached(digest) } else { Ok(None) };
    session.trace.keyed(step.id, digest);
    if let Some(record) = cached()? {
        return Ok(hit(session, step, digest, record));
    }
    if session.only_looks() {
        return Err(StepFailure::new("the result is not in the cache"));
    }
    let lock = session.lock_step(digest, index)?;
    if let Some(record) = cached()? {
        return Ok(hit(session, step, digest, record));
    }
    session.trace.missed(step.id, &key, !session.may_use_cache(step));
    session.observer.on(Event::Started(index));
    let started = Instant::now();
    let making = Making::new(session, parent)?;
    let mut log = StepLog::new(session.observer, index, &making.log_path());
    let mut begun = None;
    let publish = |temp: &TempDir, times, known: Known| {
        if session.sealer.is_last(step.id) {
            let layer = session.publish_last(temp, times, known)?;
            return Ok(Published { layer, listing: None });
        }
        begun = session.begin_seal(step.id, temp, &known)?;
        session.store.publish_layer_knowing(temp, times, known)
    };
    match make_layer(session, making, &mut log, key, digest, make, publish) {
        Ok((record, layer)) => {
            session.tidier.tidy(lock);
            session.seal(step.id, layer, begun);
            session.trace.ran(step.id, &record);
            session.observer.on(Event::Done { step: index, duration: started.elapsed() });
            Ok(record)
        }
        Err(failure) if failure.again => Err(failure),
        Err(failure) if session.cancel.requested() => {
            session.trace.failed(step.id, true, log.kept());
            session.observer.on(Event::Cancelled(index));
            Err(failure)
        }
        Err(failure) => {
            session.trace.failed(step.id, false, log.kept());
            session.observer.on(Event::Failed { step: index, duration: started.elapsed() });
            Err(failure.log_tail(log.tail()))
        }
    }
}

/// A step whose result is known.
fn hit(session: &Session<'_>, step: &Step, key: RecordKey, record: StepRecord) -> StepRecord {
    let index = step.id.0 as usize;
    session.trace.hit(step.id, &record);
    if session.request.replay_logs && record.log {
        let mut show = |bytes: &[u8]| {
            session.observer.on(Event::Log { step: index, bytes });
            Ok(())
        };
        // A log that is damaged or pruned is no reason not to use the result.
        let _ = log::replay(&session.store.log_path(key), &mut show);
    }
    session.observer.on(Event::Cached(index));
    record
}

/// Makes a layer, has it published, and records it.
fn make_layer(
    session: &Session<'_>,
    making: Making<'_>,
    log: &mut StepLog<'_>,
    key: StepKey,
    digest: RecordKey,
    make: impl FnOnce(&Making<'_>, &mut StepLog<'_>) -> Result<OwnTimes, StepFailure>,
    publish: impl FnOnce(&TempDir, OwnTimes, Known) -> Result<Published, StoreError>,
) -> Result<(StepRecord, Published), StepFailure> {
    let started = Instant::now();
    let outcome = make(&making, log);
    let has_log = log.finish().map_err(|cause| StepFailure::io("keep the output of the step", &cause))?;
    // That of a step that failed is kept too: nobody has a record of it, but a build says which key it had.
    if has_log {
        session.store.put_log(digest, &making.log_path()).map_err(StepFailure::store)?;
    }
    let (temp, known) = making.into_parts();
    let times = match outcome {
        Ok(times) => times,
        Err(failure) => return Err(failure.leaving(temp)),
    };
    let published = publish(&temp, times, known).map_err(StepFailure::store)?;
    let layer = &published.layer;
    session.tidier.tidy(temp);
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let record = StepRecord { layer: layer.id(), created: Timestamp::now(), millis, log: has_log, key };
    session.record(digest, &record, layer)?;
    Ok((record, published))
}
