//! The names of a layer and its tar, in as few passes over its files as possible.
//!
//! The identity alone is computed by all cores. When the tar is wanted, `stream` makes it.

use std::io::Write;
use std::sync::Arc;

use rayon::prelude::*;

use super::content::{self, Capabilities, Content, KnownContents, Piece, Reading};
use super::entry::{Entry, EntryKind};
use super::error::LayerError;
use super::flavour::Flavour;
use super::folders::Folders;
use super::identity::{Identity, OwnTimes};
use super::stream::{Streamed, copy, stream};
use super::walk::{self, walk};
use crate::digest::{DiffId, LayerId};
use crate::time::Timestamp;

/// Layers of fewer pieces are done by the calling thread alone.
pub(super) const THREADS_FROM: usize = 3;

/// What a layer's tar turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TarSummary {
    /// SHA-256 of the tar.
    pub diff_id: DiffId,
    /// Length of the tar in bytes.
    pub size: u64,
}

/// What one pass over a layer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The layer's name in the store.
    pub identity: LayerId,
    /// Its tar.
    pub tar: TarSummary,
    /// How many entries it has.
    pub entries: u64,
    /// Bytes of content, hard links counted once.
    pub bytes: u64,
}

/// What is known of a layer's directory by who filled it, and need not be read again.
#[derive(Debug, Default)]
pub struct Known {
    /// What is in the files that are links to those of other layers.
    pub contents: KnownContents,
    /// Bytes of these files.
    pub linked_bytes: u64,
    /// All of its entries, if they are known.
    pub listing: Option<Listing>,
    /// The directory has only what differs from this layer; see `folders`. Then the listing and the contents of all
    /// that it does not have are known.
    pub over: Option<LayerId>,
}

/// The identity of a layer's directory, and how much it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The layer's name in the store.
    pub identity: LayerId,
    /// Bytes of content, hard links counted once.
    pub bytes: u64,
    /// What is in it.
    pub listing: Listing,
}

/// All entries of a layer, for those who want to read it once more while it is as it was.
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing(Arc<Vec<Entry>>);

impl Listing {
    /// Those of a layer that was written a moment ago, by who knows what it wrote. They are in canonical order: each
    /// directory before what is in it, the entries of a directory sorted by the bytes of their names.
    pub fn new(entries: Vec<Entry>) -> Self {
        Self(Arc::new(entries))
    }

    /// How many entries there are.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The layer's identity in the store: see the module `identity` for what it covers.
///
/// # Errors
/// When something of the layer cannot be read.
pub fn identity<'a>(
    folders: impl Into<Folders<'a>>,
    flavour: Flavour,
    times: OwnTimes,
) -> Result<LayerId, LayerError> {
    identify(folders, flavour, times, &Known::default()).map(|identified| identified.identity)
}

/// As [`identity`], with what comes along. What is `known` is not read.
///
/// # Errors
/// When something of the layer cannot be read.
pub fn identify<'a>(
    folders: impl Into<Folders<'a>>,
    flavour: Flavour,
    times: OwnTimes,
    known: &Known,
) -> Result<Identified, LayerError> {
    let folders = folders.into();
    let (listing, _) = known_or_walked(folders, flavour, known.listing.clone())?;
    let entries = &listing.0[..];
    let pieces = content::unknown_pieces(entries, &known.contents);
    let hash = |piece: &Piece| content::hash(folders, entries, piece, &known.contents);
    let contents = if pieces.len() < THREADS_FROM {
        pieces.iter().map(hash).collect::<Result<Vec<_>, _>>()?
    } else {
        pieces.par_iter().map(hash).collect::<Result<Vec<_>, _>>()?
    };
    let bytes = content_size(entries);
    let (identity, listing) = combine(listing.clone(), pieces.iter().zip(contents), times);
    Ok(Identified { identity, bytes, listing })
}

/// The SHA-256 of the layer's canonical tar.
///
/// # Errors
/// When something of the layer cannot be read.
pub fn diff_id<'a>(folders: impl Into<Folders<'a>>, flavour: Flavour) -> Result<DiffId, LayerError> {
    write_tar(folders, flavour, &mut std::io::sink()).map(|tar| tar.diff_id)
}

/// Writes the layer's canonical tar, and hashes it on the way.
///
/// # Errors
/// When something of the layer cannot be read, or `out` does not take it.
pub fn write_tar<'a>(
    folders: impl Into<Folders<'a>>,
    flavour: Flavour,
    out: &mut impl Write,
) -> Result<TarSummary, LayerError> {
    let folders = folders.into();
    let entries = walk(folders, flavour)?;
    Ok(stream(&unlisted(folders, &entries), Some(out))?.tar)
}

/// The SHA-256 of the canonical tar of a layer that has been listed, and has not changed since.
///
/// # Errors
/// When something of the layer cannot be read.
pub fn listed_tar<'a>(folders: impl Into<Folders<'a>>, listing: &Listing) -> Result<TarSummary, LayerError> {
    write_listed_tar(folders, listing, &mut std::io::sink())
}

/// The same, with the tar itself.
///
/// # Errors
/// As [`write_tar`].
pub fn write_listed_tar<'a>(
    folders: impl Into<Folders<'a>>,
    listing: &Listing,
    out: &mut impl Write,
) -> Result<TarSummary, LayerError> {
    let reading = Reading { capabilities: Capabilities::Listed, ..unlisted(folders.into(), &listing.0) };
    Ok(stream(&reading, Some(out))?.tar)
}

/// Writes the layer's canonical tar where its digest is known, and returns its length in bytes.
///
/// # Errors
/// As [`write_tar`].
pub fn write_known_tar<'a>(
    folders: impl Into<Folders<'a>>,
    flavour: Flavour,
    out: &mut impl Write,
) -> Result<u64, LayerError> {
    let folders = folders.into();
    let entries = walk(folders, flavour)?;
    copy(&unlisted(folders, &entries), out)
}

/// Whether something in the layer was changed after `latest`, in seconds since 1970.
///
/// # Errors
/// When the layer cannot be listed.
pub fn has_times_after<'a>(
    folders: impl Into<Folders<'a>>,
    flavour: Flavour,
    latest: i64,
) -> Result<bool, LayerError> {
    Ok(walk(folders.into(), flavour)?.iter().any(|entry| entry.mtime.secs > latest))
}

/// As [`write_tar`], with `latest` in the place of every later time.
///
/// # Errors
/// As [`write_tar`].
pub fn write_clamped_tar<'a>(
    folders: impl Into<Folders<'a>>,
    flavour: Flavour,
    latest: i64,
    out: &mut impl Write,
) -> Result<TarSummary, LayerError> {
    let folders = folders.into();
    let mut entries = walk(folders, flavour)?;
    for entry in entries.iter_mut().filter(|entry| entry.mtime.secs > latest) {
        entry.mtime = Timestamp::new(latest, 0);
    }
    Ok(stream(&unlisted(folders, &entries), Some(out))?.tar)
}

/// Identity, DiffID and, if wanted, the tar: every file is read once. What is `known` of small files is not computed
/// anew for the identity.
///
/// # Errors
/// When something of the layer cannot be read, or `out` does not take it.
pub fn seal<'a>(
    folders: impl Into<Folders<'a>>,
    flavour: Flavour,
    times: OwnTimes,
    known: &Known,
    out: Option<&mut dyn Write>,
) -> Result<Sealed, LayerError> {
    let folders = folders.into();
    let (listing, capabilities) = known_or_walked(folders, flavour, known.listing.clone())?;
    let entries = &listing.0[..];
    let (count, bytes) = (listing.count(), content_size(entries));
    let reading = Reading { folders, entries, capabilities, hashes: Some(&known.contents) };
    let Streamed { tar, contents } = stream(&reading, out)?;
    let pieces = content::pieces(entries);
    let (identity, _) = combine(listing.clone(), pieces.iter().zip(contents), times);
    Ok(Sealed { identity, tar, entries: count, bytes })
}

/// The entries of a layer, and whether they say which capabilities files have.
fn known_or_walked(
    folders: Folders<'_>,
    flavour: Flavour,
    listing: Option<Listing>,
) -> Result<(Listing, Capabilities), LayerError> {
    let Some(Listing(entries)) = listing else {
        return Ok((Listing::new(walk(folders, flavour)?), Capabilities::Unknown));
    };
    if cfg!(debug_assertions) {
        let whole_seconds =
            |entry: &Entry| Entry { mtime: Timestamp::new(entry.mtime.secs, 0), ..entry.clone() };
        let walked: Vec<Entry> = walk::entries(folders, flavour)?.iter().map(whole_seconds).collect();
        assert_eq!(
            entries.iter().map(whole_seconds).collect::<Vec<_>>(),
            walked,
            "what was said to be there"
        );
    }
    Ok((Listing(entries), Capabilities::Listed))
}

/// Reading entries as a walk finds them, for nothing but the tar.
fn unlisted<'a>(folders: Folders<'a>, entries: &'a [Entry]) -> Reading<'a> {
    Reading { folders, entries, capabilities: Capabilities::Unknown, hashes: None }
}

fn content_size(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| if let EntryKind::File { size } = entry.kind { size } else { 0 }).sum()
}

/// Puts the identity together from the entries and what reading found out about their content.
fn combine<'a>(
    Listing(mut entries): Listing,
    contents: impl Iterator<Item = (&'a Piece, Vec<Content>)>,
    times: OwnTimes,
) -> (LayerId, Listing) {
    let mut identity = Identity::new(times);
    let mut subtrees = Vec::new();
    let mut contents = contents.peekable();
    while let Some((piece, found)) = contents.next() {
        match piece {
            Piece::Entries(range) => {
                for (entry, content) in range.clone().zip(found) {
                    if content.capability.is_some() {
                        Arc::make_mut(&mut entries)[entry].capability = content.capability;
                    }
                    identity.push(&entries[entry], content.hash.as_ref());
                }
            }
            Piece::Slice { entry, .. } => {
                for content in found {
                    if content.capability.is_some() {
                        Arc::make_mut(&mut entries)[*entry].capability = content.capability;
                    }
                    subtrees.extend(content.subtree);
                }
                let more =
                    matches!(contents.peek(), Some((Piece::Slice { entry: next, .. }, _)) if next == entry);
                if !more {
                    identity.push(&entries[*entry], Some(&content::join(&subtrees)));
                    subtrees.clear();
                }
            }
        }
    }
    (identity.finish(), Listing(entries))
}
