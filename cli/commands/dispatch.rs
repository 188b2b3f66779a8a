//! From a parsed command to the function that does it.

use std::path::PathBuf;

use rbuild_image::layer::Flavour;
use rbuild_image::registry::Registry;
use rbuild_image::store::Store;
use rbuild_runtime::container;
use rbuild_runtime::rootless::{self, Ids, Mode};

use super::{
    build, cache, df, diff, explain, fsck, history, images, import, info, inspect, load, login, logs,
    manifest, prune, pull, push, rmi, save, search, shell, tag, version,
};
use crate::args::{Command, ImageCommand, SystemCommand};
use crate::exit::{Failure, Outcome, USAGE};
use crate::settings::{
    BuildSettings, Config, Environment, PullSettings, PushSettings, RunSettings, registry,
};
use crate::ui::Style;

/// Does what the command says. Arguments are checked before anything is done, so that a mistake needs no
/// privilege and leaves no trace.
pub(crate) fn run(command: Command, environment: &Environment, style: Style) -> Outcome {
    let store = || {
        let store = open_store(environment)?;
        sweep(&store);
        Ok::<_, Failure>(store)
    };
    match command {
        Command::Version(args) => version::run(&args),
        Command::Info(args) | Command::System(SystemCommand::Info(args)) => {
            info::run(&args, &become_root(environment)?)
        }
        Command::Build(args) | Command::Image(ImageCommand::Build(args)) => {
            let settings = BuildSettings::new(*args, environment)?;
            build::run(&settings, &store()?, style)
        }
        Command::Run(args) => {
            let here =
                std::env::current_dir().map_err(|e| Failure::new(format!("working directory: {e}")))?;
            let settings = RunSettings::new(*args, environment, &here)?;
            let store = open_store(environment).map_err(|failure| failure.with_code(USAGE))?;
            super::run::run(&settings, &store)
        }
        Command::Explain(args) => explain::run(&args, &store()?),
        Command::Logs(args) => logs::run(&args, &store()?),
        Command::Shell(args) => shell::run(&args, &store()?, environment.is_interactive()),
        Command::Diff(args) => diff::run(&args, &store()?),
        Command::Pull(args) | Command::Image(ImageCommand::Pull(args)) => {
            let settings = PullSettings::new(&args, environment)?;
            let registry = Registry::new(registry(environment)?);
            pull::run(&settings, &registry, &store()?)
        }
        Command::Push(args) | Command::Image(ImageCommand::Push(args)) => {
            let settings = PushSettings::new(&args, environment)?;
            let registry = Registry::new(registry(environment)?);
            push::run(&settings, &registry, &store()?)
        }
        Command::Login(args) => login::login(&args, environment, style),
        Command::Logout(args) => login::logout(&args, environment),
        Command::Search(args) => search::run(&args, environment),
        Command::Images(args) | Command::Image(ImageCommand::Ls(args)) => images::run(&args, &store()?),
        Command::Tag(args) | Command::Image(ImageCommand::Tag(args)) => tag::run(&args, &store()?),
        Command::Rmi(args) | Command::Image(ImageCommand::Rm(args)) => rmi::run(&args, &store()?, style),
        Command::History(args) | Command::Image(ImageCommand::History(args)) => {
            history::run(&args, &store()?)
        }
        Command::Inspect(args) | Command::Image(ImageCommand::Inspect(args)) => {
            inspect::run(&args, &store()?, style)
        }
        Command::Load(args) | Command::Image(ImageCommand::Load(args)) => {
            load::run(&args, &store()?, environment)
        }
        Command::Save(args) | Command::Image(ImageCommand::Save(args)) => {
            save::run(&args, &store()?, environment, style)
        }
        Command::Import(args) | Command::Image(ImageCommand::Import(args)) => import::run(&args, &store()?),
        Command::Cache(command) => cache::run(command, &store()?, environment, style),
        Command::System(SystemCommand::Df(args)) => df::run(&args, &store()?),
        Command::System(SystemCommand::Prune(args)) => prune::system(&args, &store()?, style),
        Command::Image(ImageCommand::Prune(args)) => prune::images(&args, &store()?, style),
        Command::Manifest(command) => manifest::run(&command, registry(environment)?, &store()?, style),
        Command::Fsck(args) => fsck::run(&args, &store()?),
    }
}

fn open_store(environment: &Environment) -> Result<Store, Failure> {
    let root = become_root(environment)?;
    let flavour = match rootless::probe().mode {
        Mode::Rootless(Ids::Single) => Flavour::Single,
        Mode::Rootless(Ids::Ranges) => Flavour::User,
        Mode::Root | Mode::Bare => Flavour::Trusted,
    };
    let lower = match environment.path("RBUILD_STORE_LOWER") {
        Some(lower) => Some(lower),
        None => Config::read(environment)?.store_lower(),
    };
    let Some(lower) = lower else { return Ok(Store::open(&root, flavour)?) };
    let lower = std::path::absolute(&lower).map_err(|e| Failure::new(format!("{}: {e}", lower.display())))?;
    if lower == root {
        return Err(Failure::usage(format!("{}: a store cannot lie below itself", root.display())));
    }
    Ok(Store::open_over(&root, flavour, &lower)?)
}

/// Removes what killed processes left: one look at two folders that are nearly always empty. `run` is in too much of a
/// hurry for that; it sweeps while its program runs.
fn sweep(store: &Store) {
    // What cannot be swept now is no reason to fail: a later command tries again.
    let _ = store.sweep();
    let _ = container::sweep(store);
}

/// Makes this process root, in a user namespace where it is not (rbuild is then started a second time), and says
/// where the store is.
fn become_root(environment: &Environment) -> Result<PathBuf, Failure> {
    rootless::ensure_user_namespace()?;
    environment.store_root(!rootless::in_user_namespace())
}
