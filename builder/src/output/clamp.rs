//! `rewrite-timestamp=true`: the layers of an image without any time after `SOURCE_DATE_EPOCH` (spec 8.6).
//!
//! It is the image that is rewritten, not what the cache has: another epoch makes no step run again. A layer that has
//! no later time is taken as it is, and so are those of the base image.

use std::io;
use std::os::fd::AsFd;

use rbuild_image::digest::LayerId;
use rbuild_image::layer::{OwnTimes, has_times_after, unpack, write_clamped_tar};
use rbuild_image::store::Store;

use crate::chain::Chain;

/// The chain with rewritten layers, after the first `base` ones.
pub(crate) fn clamp(store: &Store, chain: &Chain, base: usize, epoch: i64) -> Result<Chain, String> {
    let mut layers = chain.layers();
    for layer in layers.iter_mut().skip(base) {
        *layer = rewritten(store, *layer, epoch)?;
    }
    Ok(Chain::new(&layers))
}

fn rewritten(store: &Store, id: LayerId, epoch: i64) -> Result<LayerId, String> {
    let text = |cause: &dyn std::fmt::Display| format!("rewrite the times of layer {id}: {cause}");
    let layer =
        store.layer(id).map_err(|cause| text(&cause))?.expect("the build holds a lease on its layers");
    if let Some(known) = layer.clamped(epoch).map_err(|cause| text(&cause))? {
        return Ok(known.id());
    }
    let folders = layer.open_fs().map_err(|cause| text(&cause))?;
    let flavour = store.flavour();
    let remember = |clamped| layer.remember_clamped(epoch, clamped).map_err(|cause| text(&cause));
    if !has_times_after(folders.as_folders(), flavour, epoch).map_err(|cause| text(&cause))? {
        remember(id)?;
        return Ok(id);
    }
    let temp = store.temp().map_err(|cause| text(&cause))?;
    let into = temp.make_dir("fs", 0o755).map_err(|cause| text(&cause))?;
    let (read, mut write) = io::pipe().map_err(|cause| text(&cause))?;
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || write_clamped_tar(folders.as_folders(), flavour, epoch, &mut write));
        let unpacked = unpack(read, into.as_fd(), flavour);
        // Who reads has the better reason when both failed.
        unpacked.map_err(|cause| text(&cause))?;
        let written = writer.join().map_err(|_| text(&"the writer of its tar panicked"))?;
        written.map_err(|cause| text(&cause))
    })?;
    drop(into);
    let rewritten = store.publish_layer(temp, OwnTimes::KeepAll).map_err(|cause| text(&cause))?.id();
    remember(rewritten)?;
    Ok(rewritten)
}
