//! The artifact: an OCI manifest whose config is ours, and whose layers are layers.
//!
//! The config ([`CACHE_CONFIG`](rbuild_image::place::CACHE_CONFIG)) is JSON, an [`Artifact`]. Layers have the media types of image layers, so that registries and
//! tools treat them as such. One more blob ([`INPUTS`]) has the files behind the keys, which only explanations need.
//! The manifest's annotations say when it was exported, and whose place it took: that is what `cache prune` goes by.

use std::collections::BTreeMap;

use rbuild_image::digest::{DiffId, LayerId, RecordKey};
use rbuild_image::layer::OwnTimes;
use rbuild_image::manifest::Descriptor;
use serde::{Deserialize, Serialize};

use crate::explain::StepHead;
use crate::key::StepRecord;

/// Media type of the files behind the keys: for each record 32 bytes of key, a length (u64, little-endian), and the
/// bytes as the store keeps them.
pub(super) const INPUTS: &str = "application/vnd.rbuild.cache.inputs.v1";
/// Version of the config. Others are not read.
pub(super) const VERSION: u32 = 1;

/// What one build knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Artifact {
    /// [`VERSION`].
    pub(super) version: u32,
    /// All steps of the build, with their results.
    pub(super) steps: Vec<CarriedStep>,
    /// What copies between chains select, by their names (see `copies`).
    pub(super) copies: BTreeMap<String, String>,
    /// The layers that came along.
    pub(super) layers: Vec<CarriedLayer>,
    /// The blob of [`INPUTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) inputs: Option<Descriptor>,
}

/// A step and what it led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedStep {
    /// Which one it is.
    #[serde(flatten)]
    pub(super) head: StepHead,
    /// Its key and result. The name of the key is not said: whoever reads it computes it.
    pub(super) record: StepRecord,
    /// Its output if it is short: zstd, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) log: Option<String>,
}

/// A layer and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedLayer {
    /// Its identity.
    pub(super) layer: LayerId,
    /// The digest of its canonical tar.
    pub(super) diff_id: DiffId,
    /// The rule by which its identity is computed.
    pub(super) times: OwnTimes,
    /// The blob. None in the config of an image, whose manifest has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blob: Option<Descriptor>,
    /// How it was compressed: `gzip-6`. Whoever fetches it need not compress it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) packed: Option<String>,
}

/// The blob of [`INPUTS`].
pub(super) fn encode_inputs(inputs: &BTreeMap<RecordKey, Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, bytes) in inputs {
        out.extend(key.0);
        out.extend((bytes.len() as u64).to_le_bytes());
        out.extend(bytes);
    }
    out
}

/// What [`encode_inputs`] wrote, as far as it is whole.
pub(super) fn decode_inputs(mut bytes: &[u8]) -> BTreeMap<RecordKey, Vec<u8>> {
    let mut inputs = BTreeMap::new();
    while let Some((key, rest)) = bytes.split_first_chunk::<32>()
        && let Some((length, rest)) = rest.split_first_chunk::<8>()
        && let Ok(length) = usize::try_from(u64::from_le_bytes(*length))
        && let Some((value, rest)) = rest.split_at_checked(length)
    {
        inputs.insert(RecordKey(*key), value.to_vec());
        bytes = rest;
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_read_again_as_far_as_they_are_whole() {
        let key = |byte| RecordKey([byte; 32]);
        let inputs = BTreeMap::from([(key(1), b"one".to_vec()), (key(2), Vec::new()), (key(3), vec![7; 99])]);
        let bytes = encode_inputs(&inputs);
        assert_eq!(decode_inputs(&bytes), inputs);
        let cut = decode_inputs(&bytes[..bytes.len() - 1]);
        assert_eq!(cut.keys().copied().collect::<Vec<_>>(), [key(1), key(2)]);
        let mut lying = bytes;
        lying[32..40].fill(0xff);
        assert_eq!(decode_inputs(&lying), BTreeMap::new());
    }
}
