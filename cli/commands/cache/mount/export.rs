//! `rbuild cache mount export`.

use std::io::{self, BufWriter};

use rbuild_builder::cache_mount;
use rbuild_image::store::Store;

use super::only;
use crate::args::CacheMountExportArgs;
use crate::commands::partial;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Environment;

/// Writes a cache as a tar.
pub(super) fn run(args: &CacheMountExportArgs, store: &Store, environment: &Environment) -> Outcome {
    let cache = only(store, &args.cache)?;
    match &args.output {
        Some(path) => {
            partial::write(path, |file| Ok(cache_mount::export(store, &cache, &mut BufWriter::new(file))?))?;
        }
        None if environment.stdout_is_terminal => {
            return Err(Failure::new("cowardly refusing to write an archive to a terminal")
                .with_hint("use the -o flag or redirect the output"));
        }
        None => cache_mount::export(store, &cache, &mut BufWriter::new(io::stdout().lock()))?,
    }
    Ok(Exit::OK)
}
