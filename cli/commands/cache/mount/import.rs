//! `rbuild cache mount import`.

use std::fs::File;
use std::io;

use rbuild_builder::cache_mount::{self, CacheError};
use rbuild_image::store::Store;

use crate::args::CacheMountImportArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui;

/// Makes a cache of an archive, and prints its id.
pub(super) fn run(args: &CacheMountImportArgs, store: &Store) -> Outcome {
    let id = args.id.as_deref();
    let imported = match &args.input {
        Some(path) => {
            let file = File::open(path).map_err(|e| Failure::new(format!("open {}: {e}", path.display())))?;
            cache_mount::import(store, file, id)
        }
        None => cache_mount::import(store, io::stdin(), id),
    };
    let (id, _) = imported.map_err(|error| match error {
        CacheError::Nameless => Failure::from(error).with_hint("give its id: rbuild cache mount import ID"),
        error => error.into(),
    })?;
    ui::print(&format!("Imported cache mount: {id}\n"))?;
    Ok(Exit::OK)
}
