//! `rbuild cache`.

mod mount;

use rbuild_image::store::Store;

use crate::args::CacheCommand;
use crate::exit::Outcome;
use crate::settings::Environment;

/// Does what the command says.
pub(crate) fn run(command: CacheCommand, store: &Store, environment: &Environment) -> Outcome {
    match command {
        CacheCommand::Mount(command) => mount::run(command, store, environment),
    }
}
