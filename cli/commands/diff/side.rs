//! What is compared: from what people call it to layers.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rbuild_builder::{explain, failed, past};
use rbuild_image::digest::LayerId;
use rbuild_image::store::{HeldStep, Image, Store};
use rbuild_runtime::container::{self, Listed};

use crate::commands::{find, past as named, run};
use crate::exit::Failure;

/// A file system of the store.
#[derive(Debug)]
pub(super) struct Side {
    /// What was changed on top of the layers, by a container or by a step that failed.
    pub(super) upper: Option<PathBuf>,
    /// Layers, the uppermost first, each once.
    pub(super) stack: Vec<LayerId>,
    /// Paths that are nobody's change where they were added.
    pub(super) made_at_start: &'static [&'static str],
    /// Keeps a failed step as it is.
    _held: Option<HeldStep>,
}

impl Side {
    /// `layers` are the lowest first. One that occurs again further down adds nothing to what it hides itself.
    fn of(layers: &[LayerId]) -> Self {
        let mut stack: Vec<LayerId> = Vec::new();
        for layer in layers.iter().rev() {
            if !stack.contains(layer) {
                stack.push(*layer);
            }
        }
        Self { upper: None, stack, made_at_start: &[], _held: None }
    }
}

/// One of two: an image, a step, a container, an archive.
pub(super) fn image_first(store: &Store, text: &str) -> Result<Side, Failure> {
    if let Some(side) = step(store, text)? {
        return Ok(side);
    }
    match find::image(store, text) {
        Ok(image) => Ok(Side::of(&image.layers)),
        Err(_) if run::is_archive(text) => Ok(Side::of(&run::of_archive(store, text)?.layers)),
        Err(no_image) => match of_container(store, text)? {
            Some((side, _)) => Ok(side),
            None => Err(no_image),
        },
    }
}

/// One alone, and what it started from: a container and its image, a step and the step before, an image and the image
/// it was built from.
pub(super) fn alone(store: &Store, text: &str) -> Result<(Side, Side), Failure> {
    if let Some(step) = named::step(store, text)? {
        let before = past::layers_before(store, &step.build, step.number)
            .map_err(|error| named::missing(store, &step, &error))?;
        let after = self::step(store, text)?.expect("it was a step just now");
        return Ok((Side::of(&before), after));
    }
    if let Some((side, below)) = of_container(store, text)? {
        return Ok((below, side));
    }
    let image = if run::is_archive(text) && find::image(store, text).is_err() {
        run::of_archive(store, text)?
    } else {
        find::image(store, text)?
    };
    let base = base_of(store, &image)?.ok_or_else(|| {
        Failure::new(format!("{text} was not built here, so it is not known what it started from"))
            .with_hint(format!("name both: rbuild diff BASE {text}"))
    })?;
    Ok((Side::of(&base), Side::of(&image.layers)))
}

/// The state after a step; of one that failed, what it left.
fn step(store: &Store, text: &str) -> Result<Option<Side>, Failure> {
    let Some(step) = named::step(store, text)? else { return Ok(None) };
    let error = match past::layers(store, &step.build, step.number) {
        Ok(layers) => return Ok(Some(Side::of(&layers))),
        Err(error) => error,
    };
    let kept = failed::find(store, step.build.id.as_str(), Some(step.number))?;
    let Some(kept) = kept else { return Err(named::missing(store, &step, &error)) };
    let held = store.hold_failed_step(&kept.name())?;
    let upper = store.failed_step_path(&kept.name()).join("fs");
    Ok(Some(Side { upper: Some(upper), _held: held, ..Side::of(&kept.layers) }))
}

/// A container by its name, its ID or the beginning of it: with its changes, and without them.
fn of_container(store: &Store, text: &str) -> Result<Option<(Side, Side)>, Failure> {
    let is_it = |listed: &Listed| {
        listed.name.as_deref() == Some(text) || (text.len() >= 4 && listed.id.as_str().starts_with(text))
    };
    let Some(listed) = container::list(store)?.into_iter().find(is_it) else { return Ok(None) };
    let (upper, stack) = container::file_system(store, &listed.id)?;
    let made_at_start = &container::MADE_AT_START[..];
    let below = Side { upper: None, stack: stack.clone(), made_at_start: &[], _held: None };
    Ok(Some((Side { upper: Some(upper), stack, made_at_start, _held: None }, below)))
}

/// The layers of the image that another was built from: of those that its build started from, the one that it has most
/// layers of.
fn base_of(store: &Store, image: &Image) -> Result<Option<Vec<LayerId>>, Failure> {
    let Some(build) = explain::find(store, &image.id.to_string())? else { return Ok(None) };
    let mut base = Vec::new();
    for step in &build.steps {
        let explain::Parent::Image(id) = &step.head.parent else { continue };
        let Some(parent) = store.image(*id)? else { continue };
        if image.layers.starts_with(&parent.layers) && parent.layers.len() > base.len() {
            base = parent.layers;
        }
    }
    Ok(Some(base))
}

/// Opens the upper folder of an overlay.
pub(super) fn open_upper(path: &PathBuf) -> Result<OwnedFd, Failure> {
    let file = std::fs::File::open(path);
    file.map(OwnedFd::from).map_err(|error| Failure::new(format!("open {}: {error}", path.display())))
}
