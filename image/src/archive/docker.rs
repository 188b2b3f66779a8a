//! Docker's own format: `manifest.json` says which members are the config and the layers of each image.
//!
//! Three layouts are in use: `blobs/sha256/*` (docker since 25), `<id>.json` with `<layer>/layer.tar` (before; equal
//! layers may be symlinks), and podman's `<id>.json` with `<DiffID>.tar`. They differ in names only.

use serde::Deserialize;

use super::error::ArchiveError;
use super::load::{Incoming, IncomingLayer, check_blob, config_of};
use super::members::Members;
use crate::digest::{BlobDigest, Digest};
use crate::reference::Reference;

/// The member that makes an archive one of docker's.
pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The images that `manifest.json` lists.
pub(super) fn images(members: &Members) -> Result<Vec<Incoming>, ArchiveError> {
    let list: Vec<DockerImage> = serde_json::from_slice(&members.document(MANIFEST)?)
        .map_err(|source| ArchiveError::Json { member: MANIFEST.to_owned(), source })?;
    list.into_iter().map(|image| incoming(members, image)).collect()
}

fn incoming(members: &Members, image: DockerImage) -> Result<Incoming, ArchiveError> {
    let bytes = members.document(&image.config)?;
    if let Some(digest) = named_digest(&image.config) {
        check_blob(&image.config, digest, bytes.len() as u64, &bytes)?;
    }
    let config = config_of(&image.config, &bytes)?;
    let layers = image
        .layers
        .unwrap_or_default()
        .into_iter()
        .map(|member| {
            // In podman's layout, too, the file's name is the digest of the file.
            let digest = named_digest(&member);
            IncomingLayer { member, digest, size: None }
        })
        .collect();
    let names = image.repo_tags.unwrap_or_default().into_iter().map(parse_name).collect::<Result<_, _>>()?;
    Ok(Incoming { bytes, config, layers, names, manifest: None })
}

fn parse_name(name: String) -> Result<Reference, ArchiveError> {
    match name.parse::<Reference>() {
        Ok(reference) => Ok(reference.with_default_tag()),
        Err(source) => Err(ArchiveError::Name { name, source }),
    }
}

/// The digest that a member's name promises: `blobs/sha256/<hex>`, `<hex>.json`, `<hex>.tar`.
fn named_digest(member: &str) -> Option<BlobDigest> {
    let hex = match member.strip_prefix("blobs/sha256/") {
        Some(hex) => hex,
        None => member.strip_suffix(".json").or_else(|| member.strip_suffix(".tar"))?,
    };
    Digest::from_hex(hex).ok().map(BlobDigest)
}
