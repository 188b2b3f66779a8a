//! Steps of earlier builds by what people call them: `step:N` of the last build, `step:BUILD/N` of another.

use rbuild_builder::explain::BuildRecord;
use rbuild_builder::failed;
use rbuild_builder::past::PastError;
use rbuild_image::store::Store;

use super::{explain, find};
use crate::exit::{Failure, chain};

/// A step of a build.
#[derive(Debug)]
pub(super) struct PastStep {
    /// The build.
    pub(super) build: BuildRecord,
    /// The step's number in it, from 1.
    pub(super) number: usize,
}

/// The step that `text` names; None if it names none. An image of that name comes first.
pub(super) fn step(store: &Store, text: &str) -> Result<Option<PastStep>, Failure> {
    let Some(rest) = text.strip_prefix("step:").filter(|_| find::image(store, text).is_err()) else {
        return Ok(None);
    };
    let (build, number) = rest.rsplit_once('/').unwrap_or(("last", rest));
    let number = number.parse().map_err(|_| {
        Failure::usage(format!("{text:?} names no step: step:N of the last build, or step:BUILD/N"))
    })?;
    Ok(Some(PastStep { build: explain::build(store, build)?, number }))
}

/// Says why a state is not there, and what is in its place if the step failed.
pub(super) fn missing(store: &Store, step: &PastStep, error: &PastError) -> Failure {
    let failure = Failure::new(chain(error));
    let build = step.build.id.as_str();
    let number = if let PastError::NoResult { number, .. } = error { *number } else { step.number };
    match failed::find(store, build, Some(number)) {
        Ok(Some(_)) => {
            failure.with_hint(format!("rbuild shell {build}:{number} opens a shell in what it left"))
        }
        _ => failure.with_hint("rbuild explain lists the steps of a build"),
    }
}
