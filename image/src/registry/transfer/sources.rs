//! Which repositories are known to have a blob: remembered beside the layer, so that a push to another repository of
//! the same registry can mount it in place of sending it.

use crate::digest::{BlobDigest, LayerId};
use crate::store::{Store, StoreError};

/// So many are remembered for a layer, the newest first.
const MAX_REMEMBERED: usize = 16;

/// Remembers that `path` of the registry `domain` has `blob`, which is the layer `id`.
pub(super) fn remember(
    store: &Store,
    id: LayerId,
    blob: BlobDigest,
    domain: &str,
    path: &str,
) -> Result<(), StoreError> {
    let line = format!("{blob} {domain} {path}");
    let mut lines = read(store, id)?;
    if lines.first() == Some(&line) {
        return Ok(());
    }
    lines.retain(|known| *known != line);
    lines.insert(0, line);
    lines.truncate(MAX_REMEMBERED);
    store.write_small(&file(id), (lines.join("\n") + "\n").as_bytes())
}

/// The repositories of `domain` that are known to have `blob`, the newest first.
pub(super) fn known(
    store: &Store,
    id: LayerId,
    blob: BlobDigest,
    domain: &str,
) -> Result<Vec<String>, StoreError> {
    let start = format!("{blob} {domain} ");
    let lines = read(store, id)?;
    Ok(lines.iter().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect())
}

fn read(store: &Store, id: LayerId) -> Result<Vec<String>, StoreError> {
    let text = store.read_small(&file(id))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

fn file(id: LayerId) -> String {
    format!("layers/{id}/repositories")
}
