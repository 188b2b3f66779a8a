//! `rbuild run`.

use std::io;
use std::path::Path;

use rbuild_image::archive::{self, Source};
use rbuild_image::config::ContainerConfig;
use rbuild_image::digest::{ImageId, LayerId};
use rbuild_image::store::{Image, Store};
use rbuild_runtime::container::{self, Base};
use rbuild_runtime::signals;

use super::{find, obtain, past};
use crate::exit::{Exit, Failure, Outcome, USAGE, chain};
use crate::settings::RunSettings;

/// Runs a container of an image in the foreground.
pub(crate) fn run(settings: &RunSettings, store: &Store) -> Outcome {
    let ground = signals::shielded(|| ready(settings, store))?.map_err(|f| f.with_code(USAGE))?;
    let Ground { id, config, layers } = &ground;
    let base = Base { id: *id, name: &settings.image, config, layers };
    let code = container::run(store, &base, &settings.container).map_err(|error| {
        let code = u8::try_from(error.exit_code()).unwrap_or(USAGE);
        Failure::new(chain(&error)).with_code(code)
    })?;
    Ok(Exit::program(code))
}

/// What a container stands on.
struct Ground {
    id: ImageId,
    config: ContainerConfig,
    layers: Vec<LayerId>,
}

/// An image or a step, with its layers looked at: after a loss of power they have to prove themselves, which takes
/// threads.
fn ready(settings: &RunSettings, store: &Store) -> Result<Ground, Failure> {
    if let Some(step) = past::step(store, &settings.image)? {
        let layers = rbuild_builder::past::layers(store, &step.build, step.number);
        let layers = layers.map_err(|error| past::missing(store, &step, &error))?;
        let (config, id) = rbuild_builder::past::config(store, &step.build, step.number)?;
        return Ok(Ground { id, config, layers });
    }
    let image = image(settings, store)?;
    for layer in &image.layers {
        store.layer(*layer)?;
    }
    Ok(Ground { id: image.id, config: image.config.config, layers: image.layers })
}

/// An image of the store, of an archive (what looks like a path, is there and is no image), or of a registry.
fn image(settings: &RunSettings, store: &Store) -> Result<Image, Failure> {
    let text = &settings.image;
    if !is_archive(text) || find::image(store, text).is_ok() {
        return obtain::image(settings, store);
    }
    of_archive(store, text)
}

/// What looks like a path, and is there.
pub(super) fn is_archive(text: &str) -> bool {
    let path = Path::new(text);
    text.contains(['/', '.']) && (path.is_file() || path.join("index.json").is_file())
}

/// The one image of an archive, which is loaded into the store.
pub(super) fn of_archive(store: &Store, text: &str) -> Result<Image, Failure> {
    let loaded = archive::load(store, Source::<io::Empty>::Path(Path::new(text)), None)?;
    match &loaded[..] {
        [only] => {
            store.image_here(only.id)?.ok_or_else(|| Failure::new(format!("image {} has vanished", only.id)))
        }
        several => {
            let names: Vec<String> =
                several.iter().flat_map(|image| &image.names).map(|name| name.familiar()).collect();
            Err(Failure::new(format!("{text} has {} images: {}", several.len(), names.join(", ")))
                .with_hint(format!("rbuild load -i {text}, then rbuild run NAME")))
        }
    }
}
