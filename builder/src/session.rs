//! One build under way: what its steps share.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};

use rbuild_image::digest::{LayerId, RecordKey};
use rbuild_image::layer::{Known, OwnTimes, View};
use rbuild_image::store::{Image, Layer, Published, StepLock, Store, StoreError, TempDir};
use rbuild_image::time::Timestamp;
use rbuild_parser::plan::{Op, Root, Step, StepId};

use crate::cancel::Cancel;
use crate::carry::Carry;
use crate::chain::Chain;
use crate::context::Context;
use crate::copy::Fetch;
use crate::event::{Awaited, Event, Observer};
use crate::explain::{Selected, Trace, encode_inputs};
use crate::inputs::Contexts;
use crate::key::StepRecord;
use crate::output::{Early, Ready};
use crate::recipe::Recipe;
use crate::request::{NoCache, Request, Secret};
use crate::seal::{Begun, Seal};
use crate::standby::Standbys;
use crate::step::{StepFailure, Top, linked, materialize};
use crate::tidy::Tidier;
use crate::work::Work;

/// No secret is larger, in bytes, as BuildKit has it.
const MAX_SECRET: u64 = 500 * 1024;

/// What the steps of one build share: what it was made of, and what has become of it so far.
pub(crate) struct Session<'a> {
    parts: Parts<'a>,
    results: Vec<OnceLock<StepResult>>,
    /// Layers that were looked up; most steps share most of theirs.
    layers: Mutex<BTreeMap<LayerId, Layer>>,
    /// The archive that is asked for, as far as it was written while its last layer was made.
    ready: Mutex<Option<Ready>>,
    folders: Mutex<BTreeMap<String, Chain>>,
    used_caches: Mutex<BTreeSet<String>>,
    /// Sandboxes that wait for programs of steps.
    pub(crate) standbys: Standbys,
    /// Removes what steps leave behind.
    pub(crate) tidier: Tidier,
    /// See [`Session::mount_points`]; goes after the last sandbox.
    mount_points: OnceLock<TempDir>,
    purpose: Purpose,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To have results.
    Build,
    /// To see which results there are.
    Look,
}

/// What a step led to.
#[derive(Debug, Clone)]
pub(crate) struct StepResult {
    /// Its parent's layers and its own.
    pub(crate) chain: Chain,
    /// When its layer was made.
    pub(crate) created: Timestamp,
}

impl StepResult {
    pub(crate) fn new(parent: &Chain, record: &StepRecord) -> Self {
        Self { chain: parent.with(record.layer), created: record.created }
    }
}

/// What a [`Session`] is made of.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) store: &'a Store,
    pub(crate) request: &'a Request,
    pub(crate) work: &'a Work,
    /// The images that the plans' `BaseId`s stand for.
    pub(crate) bases: &'a [Arc<Image>],
    pub(crate) contexts: &'a Contexts,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) cancel: &'a Cancel,
    pub(crate) sealer: &'a dyn Seal,
    pub(crate) fetch: &'a (dyn Fetch + Sync),
    pub(crate) trace: &'a Trace,
    pub(crate) carry: &'a Carry<'a>,
    pub(crate) recipe: &'a Recipe,
    /// The Dockerfile: an absolute path, or `-` for standard input.
    pub(crate) dockerfile: &'a str,
}

impl<'a> std::ops::Deref for Session<'a> {
    type Target = Parts<'a>;

    fn deref(&self) -> &Parts<'a> {
        &self.parts
    }
}

impl<'a> Session<'a> {
    pub(crate) fn new(parts: Parts<'a>) -> Self {
        let results = parts.work.steps.iter().map(|_| OnceLock::new()).collect();
        Self {
            parts,
            results,
            layers: Mutex::default(),
            ready: Mutex::default(),
            folders: Mutex::default(),
            used_caches: Mutex::default(),
            mount_points: OnceLock::new(),
            standbys: Standbys::default(),
            tidier: Tidier::default(),
            purpose: Purpose::Build,
        }
    }

    /// A session that makes nothing: steps whose results are not known fail.
    pub(crate) fn looking(parts: Parts<'a>) -> Self {
        Self { purpose: Purpose::Look, ..Self::new(parts) }
    }

    /// Whether results are only looked up.
    pub(crate) fn only_looks(&self) -> bool {
        self.purpose == Purpose::Look
    }

    /// Whether a step has a result.
    pub(crate) fn is_finished(&self, step: usize) -> bool {
        self.results[step].get().is_some()
    }

    /// Takes a step's result; the steps that need it may start.
    pub(crate) fn finish(&self, step: StepId, result: StepResult) {
        let fresh = self.results[step.0 as usize].set(result).is_ok();
        debug_assert!(fresh, "a step is done once");
    }

    /// What a finished step led to.
    pub(crate) fn result(&self, step: StepId) -> &StepResult {
        self.results[step.0 as usize].get().expect("the schedule runs a step after those it needs")
    }

    /// The layers of a state of the file system.
    pub(crate) fn chain(&self, root: &Root) -> Result<Chain, StepFailure> {
        match root {
            Root::Scratch | Root::MainContext => Ok(Chain::scratch()),
            Root::Base(id) => Ok(Chain::new(&self.bases[id.0 as usize].layers)),
            Root::Step(step) => Ok(self.result(*step).chain.clone()),
            Root::NamedContext(name) => self.folder_chain(name),
        }
    }

    /// A folder given with `--build-context` and used as a base is one layer.
    fn folder_chain(&self, name: &str) -> Result<Chain, StepFailure> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chain) = folders.get(name) {
            return Ok(chain.clone());
        }
        let layer = materialize(self, &linked(Root::NamedContext(name.to_owned()), "/", "/"), Top::New)?;
        self.trace.folder(name, layer);
        let chain = Chain::scratch().with(layer);
        folders.insert(name.to_owned(), chain.clone());
        Ok(chain)
    }

    /// A layer that a chain names. The build holds a lease on those of the store; others are fetched from the cache
    /// that was imported.
    pub(crate) fn layer(&self, id: LayerId) -> Result<Layer, StepFailure> {
        if let Some(layer) = self.layers().get(&id) {
            return Ok(layer.clone());
        }
        let layer = match self.store.layer(id).map_err(StepFailure::store)? {
            Some(layer) => layer,
            None if self.carry.is_empty() => {
                let gone = StepFailure::new(format!("layer {id} has vanished from the store"));
                return Err(gone.help(
                    "rbuild fsck says what is not whole; an image that was pulled or loaded has to be so again",
                ));
            }
            None => {
                self.carry.obtain_bases(self.store, &[id]).map_err(StepFailure::new)?;
                self.carry.obtain(self.store, id).ok_or_else(StepFailure::lost)?
            }
        };
        self.layers().insert(id, layer.clone());
        Ok(layer)
    }

    fn layers(&self) -> MutexGuard<'_, BTreeMap<LayerId, Layer>> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the layers of a chain into the store that are still elsewhere.
    pub(crate) fn obtain(&self, chain: &Chain) -> Result<(), StepFailure> {
        if self.carry.is_empty() && self.carry.has_no_bases() {
            return Ok(());
        }
        let layers = chain.layers();
        self.carry.obtain_bases(self.store, &layers).map_err(StepFailure::new)?;
        if self.carry.is_empty() || self.carry.obtain_all(self.store, &layers) {
            Ok(())
        } else {
            Err(StepFailure::lost())
        }
    }

    /// A folder to lie below all layers: it has the files that every RUN gets mounted, empty. Where an image has
    /// them not, nothing is made in the step's own folder, which would have to be removed again.
    pub(crate) fn mount_points(&self) -> Result<PathBuf, StepFailure> {
        if self.mount_points.get().is_none() {
            let made = self.store.temp().map_err(StepFailure::store)?;
            made.make_dir("fs", 0o755).map_err(StepFailure::store)?;
            let etc = made.make_dir("fs/etc", 0o755).map_err(StepFailure::store)?;
            for name in ["hosts", "resolv.conf"] {
                let path = made.path().join("fs/etc").join(name);
                std::fs::write(path, "").map_err(|cause| StepFailure::io("make mount points", &cause))?;
            }
            // Where an image has no such folder, a step's change of it takes these times along.
            let start = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 0 };
            let times = rustix::fs::Timestamps { last_access: start, last_modification: start };
            rustix::fs::futimens(etc, &times)
                .map_err(|cause| StepFailure::io("make mount points", &cause.into()))?;
            // A thread that came second drops its own.
            let _ = self.mount_points.set(made);
        }
        Ok(self.mount_points.get().expect("it was set before").path().join("fs"))
    }

    /// The folders whose overlay shows a chain, the uppermost first.
    pub(crate) fn stack(&self, chain: &Chain) -> Result<Vec<PathBuf>, StepFailure> {
        self.obtain(chain)?;
        let layers = chain.layers().iter().map(|id| self.layer(*id)).collect::<Result<Vec<_>, _>>()?;
        self.store.stack(&layers).map_err(StepFailure::store)
    }

    /// The merged files of a chain, without mounting anything.
    pub(crate) fn view(&self, chain: &Chain) -> Result<View, StepFailure> {
        self.obtain(chain)?;
        let mut open = Vec::new();
        for layer in chain.stack() {
            open.extend(self.layer(layer)?.open_fs().map_err(StepFailure::store)?.into_fds());
        }
        Ok(View::new(open, self.store.flavour()))
    }

    /// A state as a source of files.
    pub(crate) fn context(&self, root: &Root) -> Result<Arc<Context>, StepFailure> {
        match root {
            Root::MainContext => Ok(Arc::clone(&self.contexts.main)),
            Root::NamedContext(name) => {
                let named = self.contexts.named.get(name);
                named
                    .cloned()
                    .ok_or_else(|| StepFailure::new(format!("build context {name:?} is not a folder")))
            }
            Root::Scratch | Root::Base(_) | Root::Step(_) => {
                Ok(Arc::new(self.layers_context(&self.chain(root)?)?))
            }
        }
    }

    /// The merged files of a chain as a source.
    pub(crate) fn layers_context(&self, chain: &Chain) -> Result<Context, StepFailure> {
        Ok(Context::layers(self.view(chain)?, Arc::clone(&self.contexts.hashes)))
    }

    /// The bytes of a secret; None if the command line does not give it.
    pub(crate) fn secret(&self, id: &str) -> Result<Option<Vec<u8>>, StepFailure> {
        match self.request.secrets.get(id) {
            None => Ok(None),
            Some(Secret::Value(value)) => Ok(Some(value.clone())),
            Some(Secret::File(path)) => read_secret(path).map(Some).map_err(|cause| {
                StepFailure::io(&format!("read the secret {id} from {}", path.display()), &cause)
            }),
        }
    }

    /// True the first time that a cache mount is asked about.
    pub(crate) fn first_use(&self, cache: &str) -> bool {
        self.used_caches.lock().unwrap_or_else(PoisonError::into_inner).insert(cache.to_owned())
    }

    /// False where `--no-cache` says so. WORKDIR is no work worth repeating (spec 7.4).
    pub(crate) fn may_use_cache(&self, step: &Step) -> bool {
        if matches!(step.op, Op::Workdir(_)) {
            return true;
        }
        match &self.request.no_cache {
            NoCache::Off => true,
            NoCache::All => false,
            NoCache::Stages(names) => !names.contains(&step.stage),
        }
    }

    /// The record under a key: one of the store whose layer is there and whole, or one whose layer is elsewhere. That
    /// is fetched when somebody needs its files.
    pub(crate) fn cached(&self, key: RecordKey) -> Result<Option<StepRecord>, StepFailure> {
        let bytes = self.store.record(key).map_err(StepFailure::store)?;
        // A record that cannot be read is a miss: it is from another version, or damaged.
        let record = bytes.and_then(|bytes| serde_json::from_slice::<StepRecord>(&bytes).ok());
        if let Some(record) = &record
            && let Some(layer) = self.store.layer(record.layer).map_err(StepFailure::store)?
        {
            self.layers().insert(record.layer, layer);
            return Ok(Some(record.clone()));
        }
        let Some(carried) = self.carry.record(key) else {
            return Ok(record.filter(|record| self.carry.recalls(self.store, record.layer)));
        };
        self.put_record(key, &carried.record)?;
        self.carry.remember(self.store, carried);
        if let Some(log) = &carried.log {
            let temp = self.store.temp().map_err(StepFailure::store)?;
            let path = temp.path().join("log.zst");
            std::fs::write(&path, log).map_err(|cause| StepFailure::io("keep an imported log", &cause))?;
            self.store.put_log(key, &path).map_err(StepFailure::store)?;
        }
        Ok(Some(carried.record.clone()))
    }

    /// Stores a step's record.
    pub(crate) fn record(
        &self,
        key: RecordKey,
        record: &StepRecord,
        layer: &Layer,
    ) -> Result<(), StepFailure> {
        self.layers().insert(record.layer, layer.clone());
        self.put_record(key, record)
    }

    fn put_record(&self, key: RecordKey, record: &StepRecord) -> Result<(), StepFailure> {
        let bytes = serde_json::to_vec(record).expect("the record has only strings, numbers and lists");
        self.store.put_record(key, &bytes).map_err(StepFailure::store)
    }

    /// Stores which files went into a key, beside the record that will be there.
    pub(crate) fn keep_inputs(&self, key: RecordKey, sets: &[Selected]) -> Result<(), StepFailure> {
        match encode_inputs(sets) {
            Some(bytes) => self.store.put_inputs(key, &bytes).map_err(StepFailure::store),
            None => Ok(()),
        }
    }

    /// Whether another RUN of the step's stage may come after it.
    pub(crate) fn expects_run_after(&self, step: &Step) -> bool {
        let later = &self.work.steps[step.id.0 as usize + 1..];
        later.iter().any(|later| {
            matches!(later.op, Op::Run(_)) && later.stage == step.stage && later.platform == step.platform
        })
    }

    /// Waits until no other rbuild runs the step under this key.
    pub(crate) fn lock_step(&self, key: RecordKey, step: usize) -> Result<StepLock, StepFailure> {
        let told = Once::new();
        let take = || -> Result<_, StepFailure> {
            let lock = self.store.try_lock_step(key).map_err(StepFailure::store)?;
            if lock.is_none() {
                let holder = self.store.step_holder(key);
                let awaited = Awaited::Step;
                told.call_once(|| self.observer.on(Event::Waiting { step, awaited, holder }));
            }
            Ok(lock)
        };
        let interrupted = || StepFailure::new("interrupted while another rbuild ran the step");
        self.cancel.wait_for(take)?.ok_or_else(interrupted)
    }

    /// Makes the layer of a step that nothing else waits for, and begins the archive with it where one is asked for.
    pub(crate) fn publish_last(
        &self,
        temp: &TempDir,
        times: OwnTimes,
        known: Known,
    ) -> Result<Layer, StoreError> {
        let mut early = Early::begin(self);
        let out = early.as_mut().map(|early| early as &mut dyn Write);
        let (layer, tar) = self.store.publish_sealed_layer(temp, times, known, out)?;
        let ready = early.and_then(|early| early.end(tar));
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = ready;
        Ok(layer)
    }

    /// The archive that [`Session::publish_last`] has begun.
    pub(crate) fn take_ready(&self) -> Option<Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has the layer's DiffID computed beside the steps, if the image will need it.
    pub(crate) fn seal(&self, step: StepId, layer: Published, begun: Option<Begun>) {
        self.sealer.seal(step, layer, begun);
    }

    /// Begins with that while the layer is being published.
    pub(crate) fn begin_seal(
        &self,
        step: StepId,
        temp: &TempDir,
        known: &Known,
    ) -> Result<Option<Begun>, StoreError> {
        let tar = self.store.unpublished_tar(temp, known)?;
        Ok(tar.and_then(|tar| self.sealer.begin(step, tar)))
    }
}

fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut secret = Vec::new();
    File::open(path)?.take(MAX_SECRET + 1).read_to_end(&mut secret)?;
    if secret.len() as u64 > MAX_SECRET {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 500 KiB"));
    }
    Ok(secret)
}
