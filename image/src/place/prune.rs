//! Removing what nobody reads any more from a place.
//!
//! What can be told from a place alone: artifacts that are too old or too many, artifacts that a later one has replaced,
//! and blobs that no artifact names. A blob that is younger than an hour stays: somebody may be about to name it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{CACHE_CONFIG, CACHE_CREATED, Place, PlaceError};
use crate::digest::{BlobDigest, Digest};
use crate::manifest::Manifest;
use crate::time::Timestamp;

/// So long a blob may lie around without a name, in seconds.
const GRACE: i64 = 3600;

/// What stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// So many of the newest artifacts stay, however old they are.
    pub newest: Option<usize>,
    /// Artifacts that are not from before this stay, however many they are.
    pub until: Option<Timestamp>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names of artifacts.
    pub heads: Vec<String>,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of the blobs. A registry frees them by a collection of its own, and they are not counted.
    pub bytes: u64,
}

/// An artifact of a place.
#[derive(Debug)]
pub struct Head {
    /// What it is called: a tag, the name of an object, or `@DIGEST`.
    pub name: String,
    /// Its manifest.
    pub manifest: Vec<u8>,
    /// True if a later artifact has taken its place.
    pub replaced: bool,
}

/// A blob of a place.
#[derive(Debug)]
pub struct Stored {
    /// Its name.
    pub digest: BlobDigest,
    /// Bytes.
    pub size: u64,
    /// When it was written, if that is known.
    pub written: Option<Timestamp>,
}

/// What tells an index from a manifest.
#[derive(Deserialize)]
struct Shape {
    manifests: Option<serde::de::IgnoredAny>,
}

/// Removes from `place` what `keep` does not keep. Without any limit only what was replaced goes, and what has no name.
///
/// # Errors
/// When the place cannot be read or written, or holds what cannot be understood: then nothing is removed.
pub fn prune(place: &dyn Place, keep: Keep, now: Timestamp) -> Result<Removed, PlaceError> {
    let mut heads = Vec::new();
    for head in place.heads()? {
        let wrong = |reason: &dyn std::fmt::Display| {
            PlaceError::document(format!("{} of {}", head.name, place.name()), reason)
        };
        let shape: Shape = serde_json::from_slice(&head.manifest).map_err(|error| wrong(&error))?;
        if shape.manifests.is_some() {
            return Err(wrong(&"it is an index, and what that needs is not known here"));
        }
        let manifest: Manifest = serde_json::from_slice(&head.manifest).map_err(|error| wrong(&error))?;
        let created = manifest.annotations.get(CACHE_CREATED).and_then(|text| text.parse().ok());
        heads.push((created.unwrap_or(Timestamp::EPOCH), manifest, head));
    }
    heads.sort_by_key(|(created, ..)| std::cmp::Reverse(*created));
    let (mut going, mut needed, mut kept) = (Vec::new(), BTreeSet::new(), 0);
    for (created, manifest, head) in heads {
        let is_ours = manifest.config.media_type == CACHE_CONFIG;
        let goes = head.replaced || keep.lets_go(kept, created);
        if is_ours && goes {
            going.push(head);
            continue;
        }
        kept += usize::from(is_ours);
        needed.insert(BlobDigest(Digest::of(&head.manifest)));
        needed.insert(manifest.config.digest);
        needed.extend(manifest.layers.iter().map(|layer| layer.digest));
    }
    let mut removed = Removed::default();
    for head in going {
        // The same manifest under another name.
        if !(head.name.starts_with('@') && needed.contains(&BlobDigest(Digest::of(&head.manifest)))) {
            place.remove_head(&head)?;
            removed.heads.push(head.name);
        }
    }
    let grace = keep.until.map_or(GRACE, |until| (now.secs - until.secs).clamp(0, GRACE));
    for blob in place.blobs()?.into_iter().filter(|blob| !needed.contains(&blob.digest)) {
        if blob.written.is_none_or(|written| now.secs - written.secs >= grace) {
            place.remove_blob(blob.digest)?;
            removed.blobs += 1;
            removed.bytes += blob.size;
        }
    }
    Ok(removed)
}

impl Keep {
    /// Whether an artifact of that age may go, with so many newer ones kept.
    fn lets_go(&self, newer: usize, created: Timestamp) -> bool {
        let is_many = self.newest.map(|newest| newer >= newest);
        let is_old = self.until.map(|until| created < until);
        (is_many.is_some() || is_old.is_some()) && is_many.unwrap_or(true) && is_old.unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_protect() {
        let at = |secs| Timestamp::new(secs, 0);
        let keep = |newest, until: Option<i64>| Keep { newest, until: until.map(at) };
        for (keep, newer, created, want) in [
            (keep(None, None), 9, 0, false),
            (keep(Some(2), None), 1, 0, false),
            (keep(Some(2), None), 2, 0, true),
            (keep(None, Some(50)), 0, 49, true),
            (keep(None, Some(50)), 9, 50, false),
            (keep(Some(2), Some(50)), 1, 0, false),
            (keep(Some(2), Some(50)), 2, 60, false),
            (keep(Some(2), Some(50)), 2, 40, true),
        ] {
            assert_eq!(keep.lets_go(newer, at(created)), want, "{keep:?} {newer} {created}");
        }
    }
}
