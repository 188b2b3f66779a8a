//! `rbuild build`.

mod agents;
mod check;
mod debug;
mod failure;
mod hand_over;
mod interrupt;
mod metadata;
mod request;
mod show;

use rbuild_builder::error::BuildError;
use rbuild_builder::examine::Examined;
use rbuild_builder::request::Request;
use rbuild_builder::room;
use rbuild_image::registry::PushOptions;
use rbuild_image::store::Store;
use rbuild_runtime::signals;

use self::agents::Agents;
use self::interrupt::Interrupt;
use super::{explain, push};
use crate::exit::{Exit, FAILURE, Failure, Outcome};
use crate::format::human;
use crate::settings::{BuildSettings, Look, ProgressMode};
use crate::ui::{self, Style};

/// Builds an image.
pub(crate) fn run(settings: &BuildSettings, store: &Store, style: Style) -> Outcome {
    let agents = Agents::open(if settings.look.is_none() { &settings.agents } else { &[] })?;
    let request = request::request(settings, &agents)?;
    if let Some(look) = settings.look {
        return look_at(look, &request, store, style);
    }
    let progress = ui::progress(settings.progress, settings.log_limit, style);
    let interrupt = Interrupt::listen()?;
    let build = || rbuild_builder::build(store, &request, &*progress, interrupt.cancel());
    // A shell that may follow needs every signal, and a build leaves threads behind.
    let outcome = if settings.debug.is_some() { signals::shielded(build)? } else { build() };
    let explanation = || {
        if settings.explain {
            ui::note(&explain::of_build(store, &request.id, settings.progress == ProgressMode::Json));
        }
    };
    match outcome {
        Ok(built) => {
            progress.finished();
            explanation();
            if let Some(options) = &settings.push {
                push(settings, &request, options, store)?;
            }
            if let (Some(address), Some(image)) = (&settings.daemon, built.image) {
                let quiet = matches!(settings.progress, ProgressMode::Quiet | ProgressMode::Json);
                hand_over::run(address, image, &request.names, store, quiet)?;
            }
            let id = built.image.map(|id| id.to_string());
            if let Some(path) = &settings.metadata_file {
                metadata::write(path, built.image, &request.names)?;
            }
            if let (Some(path), Some(id)) = (&settings.iidfile, &id) {
                std::fs::write(path, id)
                    .map_err(|e| Failure::new(format!("write {}: {e}", path.display())))?;
            }
            if let (true, Some(id)) = (settings.quiet, &id) {
                ui::print(&format!("{id}\n"))?;
            }
            make_room(settings, store);
            Ok(Exit::OK)
        }
        Err(error) => {
            progress.failed(&failure::report(&error));
            explanation();
            let exit = match error {
                BuildError::Interrupted => interrupt.exit(),
                _ => Exit(FAILURE),
            };
            drop(interrupt);
            debug::look(settings, &error, &request.id, store, style);
            Ok(exit)
        }
    }
}

/// Keeps the cache within its budget. The image is there, so whatever is wrong here is no failure of the build.
fn make_room(settings: &BuildSettings, store: &Store) {
    let text = match room::after_build(store, &settings.cache_rules) {
        Ok(None) => return,
        Ok(Some(collected)) => format!(
            "removed {} pieces of the build cache to stay within its budget: {}\n",
            collected.items.len(),
            human::size(collected.bytes)
        ),
        Err(error) => format!("the build cache could not be brought within its budget: {error}\n"),
    };
    if !matches!(settings.progress, ProgressMode::Quiet | ProgressMode::Json) {
        ui::note(&text);
    }
}

/// Sends the image to the registries of all its names.
fn push(
    settings: &BuildSettings,
    request: &Request,
    options: &PushOptions,
    store: &Store,
) -> Result<(), Failure> {
    let quiet = matches!(settings.progress, ProgressMode::Quiet | ProgressMode::Json);
    for name in &request.names {
        let pushed = push::push(name, options, &request.registry, store, settings.progress)?;
        if !quiet {
            ui::note(&format!(
                "pushed {} digest: {} size: {}\n",
                name.canonical(),
                pushed.digest,
                pushed.size
            ));
        }
    }
    Ok(())
}

/// Everything that is done with a Dockerfile instead of building it.
fn look_at(look: Look, request: &Request, store: &Store, style: Style) -> Outcome {
    let examined = match Examined::open(store, request) {
        Ok(examined) => examined,
        Err(error) => {
            ui::explain(&failure::report(&error), style);
            return Ok(Exit(FAILURE));
        }
    };
    match look {
        Look::Check { format, fix, ignore_status } => {
            let exit = check::run(examined, store, format, fix, style)?;
            Ok(if ignore_status { Exit::OK } else { exit })
        }
        Look::Outline(format) => show::outline(&examined, store, format, style),
        Look::Targets(format) => show::targets(&examined, store, format, style),
        Look::Print(form) => show::print(&examined, store, form, style),
    }
}
