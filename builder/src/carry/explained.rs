//! What other machines built, as far as it explains what this one had to build.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_image::digest::RecordKey;
use rbuild_image::place::read_small;
use rbuild_image::store::Store;

use super::format::decode_inputs;
use super::{Carry, Source};
use crate::explain::{BuildId, BuildRecord, BuildStep, Outcome, Status};

/// More than the names of all files in the world's largest repositories.
const MAX_INPUTS: u64 = 1 << 30;

impl Carry<'_> {
    /// The builds that made the caches, as records of builds. The files behind their keys are in the store afterwards,
    /// as far as they can be had: without them an explanation says less.
    pub(crate) fn builds(&self, store: &Store) -> Vec<BuildRecord> {
        for source in &self.sources {
            for (key, bytes) in source.inputs() {
                if !matches!(store.inputs(*key), Ok(Some(_))) {
                    let _ = store.put_inputs(*key, bytes);
                }
            }
        }
        self.sources.iter().map(Source::build).collect()
    }

    /// The files behind the key of a record from elsewhere.
    pub(super) fn inputs(&self, key: RecordKey) -> Option<&Vec<u8>> {
        let mut with_step = self
            .sources
            .iter()
            .filter(|source| source.artifact.steps.iter().any(|step| step.record.key.digest() == key));
        with_step.find_map(|source| source.inputs().get(&key))
    }
}

impl Source {
    /// Of every record. Fetched once; nothing, if that fails.
    fn inputs(&self) -> &BTreeMap<RecordKey, Vec<u8>> {
        self.inputs.get_or_init(|| {
            let blob = self.artifact.inputs.as_ref();
            let bytes = blob.and_then(|blob| read_small(&*self.place, blob, MAX_INPUTS).ok());
            let mut inputs = bytes.map(|bytes| decode_inputs(&bytes)).unwrap_or_default();
            // Those of other steps would only fill the store.
            let keys: BTreeSet<RecordKey> =
                self.artifact.steps.iter().map(|step| step.record.key.digest()).collect();
            inputs.retain(|key, _| keys.contains(key));
            inputs
        })
    }

    fn build(&self) -> BuildRecord {
        let steps = self.artifact.steps.iter().map(|step| BuildStep {
            head: step.head.clone(),
            status: Status::Ran,
            forced: false,
            key: Some(step.record.key.digest()),
            fields: Some(step.record.key.clone()),
            layer: Some(step.record.layer),
            millis: step.record.millis,
            log: false,
        });
        BuildRecord {
            id: BuildId::carried(&self.place.name()),
            started: self.created,
            millis: 0,
            dockerfile: String::new(),
            image: None,
            names: Vec::new(),
            outcome: Outcome::Done,
            steps: steps.collect(),
            recipe: None,
            folders: BTreeMap::new(),
            carried: Vec::new(),
        }
    }
}
