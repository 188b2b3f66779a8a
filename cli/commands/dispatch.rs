//! From a parsed command to the function that does it.

use std::path::PathBuf;

use rbuild_runtime::rootless;

use super::{info, version};
use crate::args::{Command, SystemCommand};
use crate::exit::{Failure, Outcome, USAGE};
use crate::settings::{BuildSettings, Environment, RunSettings};
use crate::ui::Style;

/// Does what the command says. Arguments are checked before anything is done, so that a mistake needs no
/// privilege and leaves no trace.
pub(crate) fn run(command: Command, environment: &Environment, _style: Style) -> Outcome {
    match command {
        Command::Version(args) => version::run(&args),
        Command::Info(args) | Command::System(SystemCommand::Info(args)) => {
            let root = become_root(environment)?;
            info::run(&args, &root)
        }
        Command::Build(args) => {
            BuildSettings::new(*args, environment)?;
            Err(Failure::new("build is not supported yet"))
        }
        Command::Run(args) => {
            let here =
                std::env::current_dir().map_err(|e| Failure::new(format!("working directory: {e}")))?;
            RunSettings::new(*args, environment, &here)?;
            Err(Failure::new("run is not supported yet").with_code(USAGE))
        }
        _ => Err(Failure::new("this command is not supported yet")),
    }
}

/// Makes this process root, in a user namespace where it is not (rbuild is then started a second time), and says
/// where the store is.
fn become_root(environment: &Environment) -> Result<PathBuf, Failure> {
    rootless::ensure_user_namespace()?;
    environment.store_root(!rootless::in_user_namespace())
}
