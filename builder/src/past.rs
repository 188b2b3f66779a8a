//! States of builds of the past: the files and the configuration after one of their steps.

use rbuild_image::config::ContainerConfig;
use rbuild_image::digest::{Digest, ImageId, LayerId};
use rbuild_image::store::{Store, StoreError};
use rbuild_parser::plan::StepId;

use crate::assemble::container_config;
use crate::carry::whereabouts;
use crate::chain::Chain;
use crate::explain::{BuildRecord, Parent};

/// Why there is no such state.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The build had fewer steps.
    #[error("build {build} has no step {number}, but {count}")]
    NoStep {
        /// The build.
        build: String,
        /// The number that was asked for.
        number: usize,
        /// How many steps it has.
        count: usize,
    },
    /// The step has no result.
    #[error("step {number} of build {build} has no result: {instruction}")]
    NoResult {
        /// The build.
        build: String,
        /// The step's number, from 1.
        number: usize,
        /// As written.
        instruction: String,
    },
    /// What it needs was removed.
    #[error("{0} is not in the store any more")]
    Gone(String),
    /// What it needs never came.
    #[error("layer {layer} is not here but in {place}: no step of a build has needed its files yet")]
    Elsewhere {
        /// Its name.
        layer: LayerId,
        /// The cache that has it, as people say it.
        place: String,
    },
    /// The record is of a version that did not keep what is needed.
    #[error("build {0} was recorded by another version of rbuild; build again")]
    OldRecord(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The layers after step `number` (from 1) of a build, the lowest first.
///
/// # Errors
/// See [`PastError`].
pub fn layers(store: &Store, build: &BuildRecord, number: usize) -> Result<Vec<LayerId>, PastError> {
    let index = index(build, number)?;
    collect(store, build, Some(index))
}

/// The layers that step `number` (from 1) started from, the lowest first.
///
/// # Errors
/// See [`PastError`].
pub fn layers_before(store: &Store, build: &BuildRecord, number: usize) -> Result<Vec<LayerId>, PastError> {
    let step = &build.steps[index(build, number)?];
    let mut layers = below(store, build, &step.head.parent)?;
    if let Parent::Step(parent) = step.head.parent {
        layers = collect(store, build, Some(parent as usize))?;
    }
    Ok(layers)
}

/// The configuration after step `number` (from 1), and a name for that state: it is no image of the store.
///
/// # Errors
/// See [`PastError`].
pub fn config(
    store: &Store,
    build: &BuildRecord,
    number: usize,
) -> Result<(ContainerConfig, ImageId), PastError> {
    let index = index(build, number)?;
    let recipe = build.recipe.as_ref().ok_or_else(|| PastError::OldRecord(build.id.to_string()))?;
    let id = StepId(u32::try_from(index).unwrap_or(u32::MAX));
    let gone = || PastError::Gone(format!("a base image of build {}", build.id));
    let config = container_config(&recipe.moment(store, id).ok_or_else(gone)?.config);
    let mut name = serde_json::to_vec(&config).expect("strings and numbers");
    name.extend(Chain::new(&layers(store, build, number)?).digest().to_string().into_bytes());
    Ok((config, ImageId(Digest::of(&name))))
}

fn index(build: &BuildRecord, number: usize) -> Result<usize, PastError> {
    let count = build.steps.len();
    let index = number.checked_sub(1).filter(|index| *index < count);
    index.ok_or_else(|| PastError::NoStep { build: build.id.to_string(), number, count })
}

fn collect(store: &Store, build: &BuildRecord, last: Option<usize>) -> Result<Vec<LayerId>, PastError> {
    let (mut upper, mut lower) = (Vec::new(), Vec::new());
    let mut next = last;
    while let Some(index) = next {
        let step = &build.steps[index];
        let no_result = || PastError::NoResult {
            build: build.id.to_string(),
            number: index + 1,
            instruction: step.head.instruction.clone(),
        };
        upper.push(step.layer.ok_or_else(no_result)?);
        next = match step.head.parent {
            Parent::Step(parent) if (parent as usize) < index => Some(parent as usize),
            _ => {
                lower = below(store, build, &step.head.parent)?;
                None
            }
        };
    }
    lower.extend(upper.into_iter().rev());
    for layer in &lower {
        store.layer(*layer)?.ok_or_else(|| match whereabouts(store, *layer) {
            Some(place) => PastError::Elsewhere { layer: *layer, place },
            None => PastError::Gone(format!("layer {layer}")),
        })?;
    }
    Ok(lower)
}

/// What is below the first step of a stage.
fn below(store: &Store, build: &BuildRecord, parent: &Parent) -> Result<Vec<LayerId>, PastError> {
    match parent {
        Parent::Scratch | Parent::Step(_) => Ok(Vec::new()),
        Parent::Image(id) => {
            let image = store.image(*id)?.ok_or_else(|| PastError::Gone(format!("image {id}")))?;
            Ok(image.layers)
        }
        Parent::Folder(name) => match build.folders.get(name) {
            Some(layer) => Ok(vec![*layer]),
            None => Err(PastError::OldRecord(build.id.to_string())),
        },
    }
}
