//! Caches as archives: to another store, and back.
//!
//! The archive is a tar of the files, as they are, behind one member that says which cache it is. Any tar shows it
//! and unpacks it; a tar of files without that member can be imported under an id.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use rbuild_image::layer::{TarError, decoder, unpack, write_tar};
use rbuild_image::store::Store;
use serde::{Deserialize, Serialize};

use super::lock::{Hold, Patience};
use super::place::{Card, Place, make_files, open};
use super::{Cache, CacheError, CacheIdentity};

/// The member that says what the cache is; always the first.
const DESCRIPTION: &str = ".rbuild-cache-mount.json";
/// Tar counts in these.
const BLOCK: usize = 512;
/// A description is shorter.
const MAX_DESCRIPTION: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Description {
    #[serde(flatten)]
    card: Card,
    /// uid, gid and mode of the folder, which has no member of its own.
    folder: (u32, u32, u32),
}

/// Writes a cache to `out`. A process that writes into it is waited for, or with `sharing=shared` may make it fail.
///
/// # Errors
/// A file cannot be read, or changes meanwhile; `out` does not take it.
pub fn export(store: &Store, cache: &Cache, out: &mut impl Write) -> Result<(), CacheError> {
    let place = Place::new(store, &*cache.name);
    let _lock = place.lock(Hold::Shared, Patience::ENDLESS)?;
    let files = place.files();
    let meta = std::fs::metadata(&files).map_err(CacheError::io("stat", &files))?;
    let card = place.card().unwrap_or_else(|| Card { id: cache.name.clone(), owner: None, content: None });
    let owner = store.flavour().owners().owner(open(&files)?.as_fd());
    let owner = owner.map_err(|error| CacheError::io("stat", &files)(error.into()))?;
    let description = Description { card, folder: (owner.uid, owner.gid, meta.mode() & 0o7777) };
    let json = serde_json::to_vec(&description).expect("strings and numbers");
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(json.len() as u64);
    let write = |cause: io::Error| CacheError::Files(rbuild_image::layer::LayerError::Write(cause));
    header.set_path(DESCRIPTION).map_err(write)?;
    header.set_cksum();
    let padding = vec![0; json.len().next_multiple_of(BLOCK) - json.len()];
    for part in [header.as_bytes().as_slice(), &json, &padding] {
        out.write_all(part).map_err(write)?;
    }
    write_tar(open(&files)?.as_fd(), store.flavour(), out)?;
    out.flush().map_err(write)
}

/// Makes a cache of an archive, compressed or not, in place of the files that the cache had. `id` says which cache
/// where the archive does not, or another one than it says. Returns the cache's id and name.
///
/// # Errors
/// The archive is damaged; somebody uses the cache. The cache is then as it was.
pub fn import(
    store: &Store,
    archive: impl Read + Send,
    id: Option<&str>,
) -> Result<(String, String), CacheError> {
    let broken = |cause: io::Error| CacheError::Files(TarError::Read(cause).into());
    let (_, mut tar) = decoder(archive).map_err(broken)?;
    let mut head = Vec::new();
    tar.by_ref().take(BLOCK as u64).read_to_end(&mut head).map_err(broken)?;
    let described = description(&head, &mut tar).map_err(broken)?;
    let card = match (&described, id) {
        (_, Some(id)) => Card { id: id.to_owned(), owner: None, content: None },
        (Some(described), None) => described.card.clone(),
        (None, None) => return Err(CacheError::Nameless),
    };
    let place = Place::new(store, card.identity().folder_name());
    let temp = store.temp()?;
    let folder = described.as_ref().map(|described| described.folder);
    let files = make_files(
        &temp,
        &CacheIdentity { owner: folder.or(card.owner), ..card.identity() },
        store.flavour().owners(),
    )?;
    // What was looked at and is no description is a member like any other.
    let rest = if described.is_some() { Vec::new() } else { head };
    unpack(io::Cursor::new(rest).chain(tar), open(&files)?.as_fd(), store.flavour())?;
    let in_use =
        || CacheError::InUse { id: card.id.clone(), users: super::lock::holders(&place.lock_file()) };
    let lock = place.try_lock(Hold::Exclusive)?.ok_or_else(in_use)?;
    place.settle()?;
    std::fs::rename(&files, place.next()).map_err(CacheError::io("move", &files))?;
    place.settle()?;
    place.label(&card)?;
    lock.touch();
    Ok((card.id, place.name))
}

/// Reads the description behind its header, if `head` is one.
fn description(head: &[u8], tar: &mut impl Read) -> io::Result<Option<Description>> {
    if head.len() != BLOCK {
        return Ok(None);
    }
    let header = tar::Header::from_byte_slice(head);
    if header.path_bytes().as_ref() != DESCRIPTION.as_bytes() {
        return Ok(None);
    }
    let size = header.size()?;
    if size > MAX_DESCRIPTION {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the description of the cache is too long"));
    }
    let mut json = Vec::new();
    tar.take(size.next_multiple_of(BLOCK as u64)).read_to_end(&mut json)?;
    json.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    serde_json::from_slice(&json).map(Some).map_err(io::Error::from)
}
