//! `rbuild import`.

mod changes;

use std::io;

use rbuild_image::archive::{self, Import};
use rbuild_image::platform::Platform;
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;

use super::find;
use crate::args::ImportArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui;

/// Makes an image of one layer from an archive of files.
pub(crate) fn run(args: &ImportArgs, store: &Store) -> Outcome {
    let name = args.name.as_deref().map(find::new_name).transpose()?;
    let platform = match &args.platform {
        Some(text) => text.parse().map_err(|e| Failure::usage(format!("invalid platform {text:?}: {e}")))?,
        None => Platform::host(),
    };
    let source = args.file.display();
    let import = Import {
        config: changes::config(&args.change)?,
        message: args.message.clone().unwrap_or_else(|| format!("Imported from {source}")),
        created: Timestamp::now(),
        platform,
    };
    let id = if args.file.as_os_str() == "-" {
        archive::import(store, io::stdin(), import)?
    } else {
        let file =
            std::fs::File::open(&args.file).map_err(|e| Failure::new(format!("open {source}: {e}")))?;
        archive::import(store, file, import)?
    };
    if let Some(name) = name {
        store.set_name(&name, id)?;
    }
    ui::print(&format!("{id}\n"))?;
    Ok(Exit::OK)
}
