//! A cache that travels: what builds on one machine found out, for builds on another one.
//!
//! ```text
//! export: the steps of a build -> records + layers as blobs -> one artifact, its head switched last      (export, format)
//! import: head -> records                                   -> hits, without a layer being fetched         (import)
//!         a step needs the files of such a hit              -> its layer is fetched, proved and published  (layers)
//! ```
//!
//! A hit needs a record only: the identity of the layer is what the keys of later steps are made of. So the layers of
//! stages that only served to make other things are never fetched. `copies` makes that true for `COPY --from`, whose
//! key would otherwise have to be computed from the files.
//!
//! The same goes for base images (`bases`). What was not fetched is known to later builds (`remembered`).
//!
//! A layer may turn out not to be there: its blob is missing or damaged, or the cache was exported with `mode=min`,
//! which leaves the layers of other stages out. Steps that were hits may then have to run after all. The build starts
//! over, without the layers that were lost ([`Carry::is_lost`]); what was made until then is in the store, and
//! each round loses at least one layer, so there is an end. `rounds` keeps people from hearing everything twice.
//!
//! Whoever imports a cache trusts the one who wrote it, as with an image: that a layer is what its name says is proved,
//! that the step makes this layer is not, short of making it.
//!
//! Invariants: a layer from elsewhere gets its name in the store only if its files have that identity; a cache that
//! cannot be used is said to be so, and costs no more than itself; nobody sees half a cache.

mod bases;
mod copies;
mod explained;
mod export;
mod format;
mod import;
mod inline;
mod layers;
mod remembered;
mod rounds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rbuild_image::digest::{BlobDigest, LayerId, RecordKey};
use rbuild_image::place::{Address, Place};
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;

pub(crate) use bases::PendingBase;
pub(crate) use copies::CopyName;
pub(crate) use export::export;
pub(crate) use inline::into_config;
pub(crate) use remembered::whereabouts;
pub(crate) use rounds::Rounds;

use crate::event::{Event, Observer};
use crate::key::StepRecord;
use format::{Artifact, CarriedLayer, VERSION};
use remembered::Reopened;

/// What came along from elsewhere, for one build.
pub(crate) struct Carry<'a> {
    observer: &'a dyn Observer,
    sources: Vec<Source>,
    bases: Vec<PendingBase>,
    records: BTreeMap<RecordKey, Carried>,
    /// Where the blob of a layer is, the first place to be asked first.
    layers: BTreeMap<LayerId, Vec<Arc<Held>>>,
    /// Layers of earlier builds' caches that steps of this build led to; None where only the identity is known.
    recalled: Mutex<BTreeMap<LayerId, Option<Arc<Held>>>>,
    reopened: Reopened,
    copies: BTreeMap<String, String>,
    /// Those of this build, for whom it exports to.
    copied: Mutex<BTreeMap<String, String>>,
    lost: Mutex<BTreeSet<LayerId>>,
    /// Blobs that are not what they should be.
    broken: Mutex<BTreeSet<BlobDigest>>,
    /// One fetch of a layer at a time.
    fetching: Mutex<BTreeMap<LayerId, Arc<Mutex<()>>>>,
    /// False if nothing is imported and nothing will be exported.
    is_wanted: bool,
}

/// An artifact that could be read.
struct Source {
    place: Arc<dyn Place>,
    artifact: Artifact,
    created: Timestamp,
    /// The files behind the keys, fetched when somebody asks.
    inputs: OnceLock<BTreeMap<RecordKey, Vec<u8>>>,
}

/// A record from elsewhere.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) record: StepRecord,
    /// What the step said, compressed as the store has it.
    pub(crate) log: Option<Vec<u8>>,
    source: usize,
}

/// A layer, and who has it.
struct Held {
    place: Arc<dyn Place>,
    layer: CarriedLayer,
    /// Where it is, if it is the place of an earlier build.
    reopened: Option<Address>,
}

impl Carry<'_> {
    /// The record from elsewhere under a key, if its layer is not known to be lost.
    pub(crate) fn record(&self, key: RecordKey) -> Option<&Carried> {
        self.records.get(&key).filter(|carried| !self.is_lost(carried.record.layer))
    }

    /// True if somebody wanted the files of a layer, and nobody has them.
    pub(crate) fn is_lost(&self, layer: LayerId) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(&layer)
    }

    /// Whether the store may lack a layer that a step of this build led to.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.bases.is_empty() && !self.recalls_any()
    }

    /// The digest of what a copy between chains selects (see `copies`), if it is known from elsewhere.
    pub(crate) fn copied(&self, store: &Store, name: &CopyName) -> Option<String> {
        let content = match self.copies.get(name.as_str()) {
            Some(content) => name.keep(store, content),
            None => name.kept(store)?,
        };
        self.remember_copy(name, content.clone());
        Some(content)
    }

    /// Takes note of what a copy between chains selects.
    pub(crate) fn remember_copy(&self, name: &CopyName, content: String) {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner).insert(name.as_str().to_owned(), content);
    }

    /// False where nobody would ever ask for copies.
    pub(crate) fn wants_copies(&self) -> bool {
        self.is_wanted || self.recalls_any()
    }

    fn trouble(&self, what: &str) {
        self.observer.on(Event::Notice(what));
    }
}

impl std::fmt::Debug for Carry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carry").field("records", &self.records.len()).finish_non_exhaustive()
    }
}
