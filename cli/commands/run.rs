//! `rbuild run`.

use std::io;
use std::path::Path;

use rbuild_image::archive::{self, Source};
use rbuild_image::store::{Image, Store};
use rbuild_runtime::container::{self, Base};
use rbuild_runtime::signals;

use super::{find, obtain};
use crate::exit::{Exit, Failure, Outcome, USAGE, chain};
use crate::settings::RunSettings;

/// Runs a container of an image in the foreground.
pub(crate) fn run(settings: &RunSettings, store: &Store) -> Outcome {
    let image = signals::shielded(|| ready(settings, store))?.map_err(|f| f.with_code(USAGE))?;
    let base =
        Base { id: image.id, name: &settings.image, config: &image.config.config, layers: &image.layers };
    let code = container::run(store, &base, &settings.container).map_err(|error| {
        let code = u8::try_from(error.exit_code()).unwrap_or(USAGE);
        Failure::new(chain(&error)).with_code(code)
    })?;
    Ok(Exit::program(code))
}

/// The image, with its layers looked at: after a loss of power they have to prove themselves, which takes threads.
fn ready(settings: &RunSettings, store: &Store) -> Result<Image, Failure> {
    let image = image(settings, store)?;
    for layer in &image.layers {
        store.layer(*layer)?;
    }
    Ok(image)
}

/// An image of the store, of an archive (what looks like a path, is there and is no image), or of a registry.
fn image(settings: &RunSettings, store: &Store) -> Result<Image, Failure> {
    let text = &settings.image;
    let path = Path::new(text);
    let is_archive = text.contains(['/', '.']) && (path.is_file() || path.join("index.json").is_file());
    if !is_archive || find::image(store, text).is_ok() {
        return obtain::image(settings, store);
    }
    let loaded = archive::load(store, Source::<io::Empty>::Path(path), None)?;
    match &loaded[..] {
        [only] => {
            store.image(only.id)?.ok_or_else(|| Failure::new(format!("image {} has vanished", only.id)))
        }
        several => {
            let names: Vec<String> =
                several.iter().flat_map(|image| &image.names).map(|name| name.familiar()).collect();
            Err(Failure::new(format!("{text} has {} images: {}", several.len(), names.join(", ")))
                .with_hint(format!("rbuild load -i {text}, then rbuild run NAME")))
        }
    }
}
