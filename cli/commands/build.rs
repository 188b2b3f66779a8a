//! `rbuild build`.

mod failure;
mod request;
mod stdin;

use rbuild_builder::Cancel;
use rbuild_image::store::Store;

use crate::exit::{Exit, FAILURE, Failure, Outcome};
use crate::settings::BuildSettings;
use crate::ui::{self, Style};

/// Signal number of Ctrl-C: what an interrupted build ends with.
const SIGINT: i32 = 2;

/// Builds an image.
pub(crate) fn run(settings: &BuildSettings, store: &Store, style: Style) -> Outcome {
    if settings.check.is_some() {
        return Err(Failure::new("--check is not supported yet"));
    }
    let request = request::request(settings)?;
    let progress = ui::progress(settings.progress, style);
    let cancel = Cancel::new();
    match rbuild_builder::build(store, &request, &*progress, &cancel) {
        Ok(built) => {
            progress.finished();
            let id = built.image.map(|id| id.to_string());
            if let (Some(path), Some(id)) = (&settings.iidfile, &id) {
                std::fs::write(path, id)
                    .map_err(|e| Failure::new(format!("write {}: {e}", path.display())))?;
            }
            if let (true, Some(id)) = (settings.quiet, &id) {
                ui::print(&format!("{id}\n"))?;
            }
            Ok(Exit::OK)
        }
        Err(error) => {
            progress.failed(&failure::report(&error));
            let interrupted = matches!(error, rbuild_builder::error::BuildError::Interrupted);
            Ok(if interrupted { Exit::signal(SIGINT) } else { Exit(FAILURE) })
        }
    }
}
