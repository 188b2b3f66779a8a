//! `rbuild build --debug`: a look at where a build has just failed.

use rbuild_builder::error::BuildError;
use rbuild_builder::explain::BuildId;
use rbuild_builder::failed::{self, Program};
use rbuild_image::store::Store;

use crate::commands::shell;
use crate::settings::BuildSettings;
use crate::ui::{self, Style};

/// Opens a shell where the build failed, or runs what `--debug` says. Without `--debug` it says that this is possible.
/// However that ends, the build has failed.
pub(super) fn look(
    settings: &BuildSettings,
    error: &BuildError,
    build: &BuildId,
    store: &Store,
    style: Style,
) {
    let BuildError::Dockerfile(located) = error else { return };
    if !located.step.as_ref().is_some_and(|step| step.kept) {
        return;
    }
    let program = match &settings.debug {
        Some(line) if !line.is_empty() => Program::Line(line.clone()),
        Some(_) if settings.terminal => Program::Shell,
        Some(_) => {
            return ui::warn(
                "--debug needs a terminal; rbuild shell opens a shell in the failed step",
                style,
            );
        }
        None if settings.terminal => {
            return ui::note(&format!(
                "{} rbuild shell opens a shell where it failed\n",
                style.hint("help:")
            ));
        }
        None => return,
    };
    let entered = failed::find(store, build.as_str(), None);
    let Ok(Some(kept)) = entered else { return ui::warn("the failed step is gone", style) };
    if let Err(failure) = shell::enter(&kept, program, store, settings.terminal) {
        ui::complain(&failure, style);
    }
}
