//! `--output type=docker-load`: the image for docker on this machine.

use rbuild_image::archive::Selection;
use rbuild_image::daemon::{Address, Daemon};
use rbuild_image::reference::Reference;
use rbuild_image::store::{Named, Store};

use crate::exit::Failure;
use crate::format::human;
use crate::ui;

/// Hands the image over; of several platforms this machine's, since docker keeps one image under a name.
pub(super) fn run(
    address: &Address,
    image: Named,
    names: &[Reference],
    store: &Store,
    quiet: bool,
) -> Result<(), Failure> {
    let vanished = || Failure::new(format!("image {image} has vanished from the store"));
    let here = store.image_here(image)?.ok_or_else(vanished)?;
    let selection = Selection { id: here.id.into(), names: names.to_vec() };
    let handed = Daemon::new(address.clone()).hand_over(store, here.id, &selection)?;
    if quiet {
        return Ok(());
    }
    let mut text = String::new();
    if let Some(reason) = &handed.refused {
        text += &format!(
            "docker did not take the image without the layers that it has ({reason}); sent it whole\n"
        );
    }
    text += &format!("docker has {} now: sent {}", here.id, human::size(handed.sent));
    if handed.left_out > 0 {
        text += &format!(", {} of {} layers were there", handed.left_out, here.layers.len());
    }
    if matches!(image, Named::Index(_)) {
        text += &format!(", the image for {} only", here.config.platform());
    }
    ui::note(&(text + "\n"));
    Ok(())
}
