//! The image that `run` is about: the store's, or pulled.

use rbuild_image::reference::Reference;
use rbuild_image::registry::{Policy, Registry};
use rbuild_image::store::{Image, Store};

use super::find;
use crate::exit::Failure;
use crate::settings::{ProgressMode, RunSettings};
use crate::ui::{self, Direction, Transfer};

/// The image of that name or ID. A registry is asked as `--pull` says; IDs are the store's only.
pub(super) fn image(settings: &RunSettings, store: &Store) -> Result<Image, Failure> {
    let text = &settings.image;
    let options = &settings.pull_options;
    let found = match find::image_for(store, text, &options.platform) {
        Ok(image) if options.exact_platform => Ok(image),
        _ => find::image(store, text),
    };
    let fits = |image: &Image| !options.exact_platform || options.platform.accepts(&image.config.platform());
    let asks = match (settings.pull, &found) {
        (Policy::Never, _) => false,
        (Policy::Missing, Ok(image)) => !fits(image),
        (Policy::Missing, Err(_)) => true,
        (Policy::Always, _) => true,
    };
    let reference = match text.parse::<Reference>() {
        Ok(reference) if asks && !is_id(text, &found) => reference.with_default_tag(),
        _ => return found,
    };
    if settings.pull == Policy::Missing {
        ui::note(&format!("Unable to find image '{}' locally\n", reference.familiar()));
    }
    let mode = if settings.live { ProgressMode::Tty } else { ProgressMode::Plain };
    let view = Transfer::new(Direction::Pull, mode, &reference.canonical());
    let registry = Registry::new(settings.registry.clone());
    let pulled = registry.pull(store, &reference, &settings.pull_options, &view);
    view.leave();
    let pulled = pulled?;
    let how = if pulled.is_new { "Downloaded newer image" } else { "Image is up to date" };
    ui::note(&format!("Digest: {}\nStatus: {how} for {}\n", pulled.digest, reference.familiar()));
    store
        .image(pulled.image)?
        .ok_or_else(|| Failure::new(format!("image {} has vanished from the store", pulled.image)))
}

/// An image that is there and was not called by a name.
fn is_id(text: &str, found: &Result<Image, Failure>) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    found.as_ref().is_ok_and(|image| !hex.is_empty() && image.id.hex().starts_with(hex))
}
