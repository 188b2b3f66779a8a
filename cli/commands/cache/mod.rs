//! `rbuild cache`.

mod mount;

use rbuild_image::store::Store;

use super::prune;
use crate::args::CacheCommand;
use crate::exit::Outcome;
use crate::settings::Environment;
use crate::ui::Style;

/// Does what the command says.
pub(crate) fn run(command: CacheCommand, store: &Store, environment: &Environment, style: Style) -> Outcome {
    match command {
        CacheCommand::Mount(command) => mount::run(command, store, environment),
        CacheCommand::Prune(args) if args.remote.is_some() => prune::remote(&args, environment, style),
        CacheCommand::Prune(args) => prune::cache(&args, store, style),
    }
}
