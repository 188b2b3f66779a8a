//! `rbuild load`.

use std::io;

use rbuild_image::archive::{self, Source};
use rbuild_image::reference::Reference;
use rbuild_image::store::Store;

use super::find;
use crate::args::LoadArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Environment;
use crate::ui;

/// Puts the images of an archive into the store.
pub(crate) fn run(args: &LoadArgs, store: &Store, environment: &Environment) -> Outcome {
    let platform = args.platform.as_deref().map(find::platform).transpose()?;
    let loaded = match &args.input {
        Some(path) => archive::load(store, Source::<io::Empty>::Path(path), platform.as_ref())?,
        None if environment.stdin_is_terminal => {
            return Err(Failure::new("requested load from stdin, but stdin is empty")
                .with_hint("rbuild load -i FILE"));
        }
        None => archive::load(store, Source::Stream(io::stdin()), platform.as_ref())?,
    };
    if args.quiet {
        return Ok(Exit::OK);
    }
    let mut text = String::new();
    for image in &loaded {
        if image.names.is_empty() {
            text.push_str(&format!("Loaded image ID: {}\n", image.id));
        }
        for name in image.names.iter().map(Reference::familiar) {
            text.push_str(&format!("Loaded image: {name}\n"));
        }
    }
    ui::print(&text)?;
    Ok(Exit::OK)
}
