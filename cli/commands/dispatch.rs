//! From a parsed command to the function that does it.

use crate::args::Command;
use crate::commands::version;
use crate::exit::{Failure, Outcome};
use crate::settings::{BuildSettings, Environment, RunSettings};
use crate::ui::Style;

/// Does what the command says.
pub(crate) fn run(command: Command, environment: &Environment, _style: Style) -> Outcome {
    let here = std::env::current_dir().map_err(|e| Failure::new(format!("working directory: {e}")))?;
    match command {
        Command::Version(args) => version::run(&args),
        Command::Build(args) => {
            BuildSettings::new(*args, environment)?;
            Err(Failure::new("build is not supported yet"))
        }
        Command::Run(args) => {
            RunSettings::new(*args, environment, &here)?;
            Err(Failure::new("run is not supported yet"))
        }
        _ => Err(Failure::new("this command is not supported yet")),
    }
}
