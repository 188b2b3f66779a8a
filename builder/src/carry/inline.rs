//! `type=inline`: the records in the image's own config, for images that are their own cache.
//!
//! The member [`MEMBER`] of the config is an [`Artifact`] without blobs, logs and lists of files: the image's manifest
//! names the layers in the order of the config's DiffIDs. Other tools skip the member. It makes another image ID, so it
//! is there only for who asks; and it is the same as long as every step comes from the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use rbuild_image::config::ImageConfig;
use rbuild_image::digest::{DiffId, LayerId};
use rbuild_image::manifest::{Descriptor, Manifest};
use rbuild_image::store::{Origin, Store};
use serde::{Deserialize, Serialize};

use super::Carry;
use super::export::carried_steps;
use super::format::{Artifact, CarriedLayer, VERSION};
use crate::chain::Chain;
use crate::explain::BuildStep;

/// The config's member.
const MEMBER: &str = "rbuild.cache.v1";

/// The part of a config that is ours.
#[derive(Serialize, Deserialize)]
struct Inline<A> {
    #[serde(rename = "rbuild.cache.v1")]
    artifact: A,
}

/// The bytes of an image's config, with what the build knows added to them.
pub(crate) fn into_config(
    store: &Store,
    carry: &Carry<'_>,
    steps: &[BuildStep],
    chain: &Chain,
    config: &[u8],
) -> Result<Vec<u8>, String> {
    let mut steps = carried_steps(store, steps)?;
    for step in &mut steps {
        step.log = None;
        step.record.log = false;
    }
    let mut layers = Vec::new();
    for id in chain.layers().into_iter().collect::<BTreeSet<LayerId>>() {
        let layer = store.layer(id).map_err(|cause| cause.to_string())?;
        let Some(layer) = layer else { continue };
        if let Origin::Built(times) = *layer.origin() {
            let diff_id = layer.diff_id().map_err(|cause| cause.to_string())?;
            layers.push(CarriedLayer { layer: id, diff_id, times, blob: None, packed: None });
        }
    }
    let copies = carry.copied.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let artifact = Artifact { version: VERSION, steps, copies, layers, inputs: None };
    let member = serde_json::to_vec(&Inline { artifact }).expect("strings, numbers and lists");
    // Both are objects, and neither is empty.
    let mut bytes = config.strip_suffix(b"}").unwrap_or(config).to_vec();
    bytes.push(b',');
    bytes.extend_from_slice(&member[1..]);
    Ok(bytes)
}

/// What is in an image's config; None if there is nothing of ours.
///
/// # Errors
/// A sentence about what cannot be read.
pub(super) fn from_config(manifest: &Manifest, config: &[u8]) -> Result<Option<Artifact>, String> {
    let members: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(config).map_err(|error| error.to_string())?;
    if !members.contains_key(MEMBER) {
        return Ok(None);
    }
    let Inline { artifact } =
        serde_json::from_slice::<Inline<Artifact>>(config).map_err(|error| error.to_string())?;
    let image = ImageConfig::parse(config).map_err(|error| error.to_string())?;
    let blobs: BTreeMap<DiffId, &Descriptor> =
        image.rootfs.diff_ids.iter().copied().zip(&manifest.layers).collect();
    let layers = artifact.layers.into_iter().filter_map(|layer| {
        let blob = (*blobs.get(&layer.diff_id)?).clone();
        Some(CarriedLayer { blob: Some(blob), ..layer })
    });
    Ok(Some(Artifact { layers: layers.collect(), ..artifact }))
}
