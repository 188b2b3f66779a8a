//! `rbuild cache mount export`.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use rbuild_builder::cache_mount::{self, Cache};
use rbuild_image::store::Store;

use super::only;
use crate::args::CacheMountExportArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Environment;

/// Writes a cache as a tar.
pub(super) fn run(args: &CacheMountExportArgs, store: &Store, environment: &Environment) -> Outcome {
    let cache = only(store, &args.cache)?;
    match &args.output {
        Some(path) => to_file(path, &cache, store)?,
        None if environment.stdout_is_terminal => {
            return Err(Failure::new("cowardly refusing to write an archive to a terminal")
                .with_hint("use the -o flag or redirect the output"));
        }
        None => cache_mount::export(store, &cache, &mut BufWriter::new(io::stdout().lock()))?,
    }
    Ok(Exit::OK)
}

/// Beside the target first, so that a failure leaves what was there.
fn to_file(path: &Path, cache: &Cache, store: &Store) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(format!("write {}: {e}", path.display()));
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    let file = File::create(partial).map_err(failed)?;
    let written = cache_mount::export(store, cache, &mut BufWriter::new(file)).map_err(Failure::from);
    let written = written.and_then(|()| std::fs::rename(partial, path).map_err(failed));
    if written.is_err() {
        // The first failure is the one to report.
        let _ = std::fs::remove_file(partial);
    }
    written
}
