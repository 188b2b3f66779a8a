//! What the plan of a build depends on, kept with the record of the build: with it the configuration that a stage had
//! after one of its steps can be found out later, whatever has become of the Dockerfile.

use std::collections::BTreeMap;

use rbuild_image::digest::ImageId;
use rbuild_image::store::Store;
use rbuild_parser::plan::{self, Base, BaseId, BaseRequest, Bases, Moment, NamedContext, Options, StepId};
use serde::{Deserialize, Serialize};

use crate::bases;

/// Build arguments that end in `_PROXY` are no variables of a plan, and may hold a password.
const PROXY: &str = "_PROXY";

/// Text, options and base images of a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recipe {
    text: String,
    build_args: BTreeMap<String, String>,
    target: Option<String>,
    platform: Option<String>,
    build_platform: String,
    /// Named contexts: the text of those that are images, None for folders.
    contexts: BTreeMap<String, Option<String>>,
    /// Which images the names meant.
    bases: Vec<Named>,
    /// Of a build for several platforms: for each step a platform, and the number in the plan for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    origins: Vec<(String, u32)>,
}

/// An image that was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) platform: String,
    pub(crate) image: ImageId,
}

impl Recipe {
    pub(crate) fn new(
        text: &[u8],
        options: &Options,
        bases: Vec<Named>,
        origins: Vec<(String, StepId)>,
    ) -> Self {
        let args = options.build_args.iter().filter(|(name, _)| !name.to_uppercase().ends_with(PROXY));
        let context = |context: &NamedContext| match context {
            NamedContext::Image(text) => Some(text.clone()),
            NamedContext::Folder => None,
        };
        Self {
            text: String::from_utf8_lossy(text).into_owned(),
            build_args: args.map(|(name, value)| (name.clone(), value.clone())).collect(),
            target: options.target.clone(),
            platform: options.platform.clone(),
            build_platform: options.build_platform.clone(),
            contexts: options.contexts.iter().map(|(name, of)| (name.clone(), context(of))).collect(),
            bases,
            origins: origins.into_iter().map(|(platform, step)| (platform, step.0)).collect(),
        }
    }

    /// By which name an image was asked for.
    pub(crate) fn name_of(&self, image: ImageId) -> Option<&str> {
        self.bases.iter().find(|named| named.image == image).map(|named| &*named.name)
    }

    /// What the stage of a step was right after it; None if an image that it needs is gone.
    pub(crate) fn moment(&self, store: &Store, step: StepId) -> Option<Moment> {
        let parsed = rbuild_parser::parse(self.text.as_bytes());
        let context = |text: &Option<String>| match text {
            Some(text) => NamedContext::Image(text.clone()),
            None => NamedContext::Folder,
        };
        let (platform, step) = match self.origins.get(step.0 as usize) {
            Some((platform, step)) => (Some(platform.clone()), StepId(*step)),
            None => (self.platform.clone(), step),
        };
        let options = Options {
            build_args: self.build_args.clone(),
            target: self.target.clone(),
            platform,
            build_platform: self.build_platform.clone(),
            contexts: self.contexts.iter().map(|(name, of)| (name.clone(), context(of))).collect(),
            ..Options::default()
        };
        let mut bases = Known { store, bases: &self.bases };
        plan::moment(&parsed.dockerfile, &options, &mut bases, step).ok().flatten()
    }
}

/// The images that the names meant then.
struct Known<'a> {
    store: &'a Store,
    bases: &'a [Named],
}

impl Bases for Known<'_> {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        let asked = |named: &Named| named.name == request.name && named.platform == request.platform;
        let place = self.bases.iter().position(asked);
        let place = place.ok_or_else(|| format!("{} was no base image of the build", request.name))?;
        let image = self.store.image(self.bases[place].image).map_err(|cause| cause.to_string())?;
        let image = image.ok_or_else(|| format!("{} is not in the store any more", request.name))?;
        Ok(bases::base(BaseId(u32::try_from(place).unwrap_or(u32::MAX)), &image))
    }
}
