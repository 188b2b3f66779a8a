//! Looking at what a build would do, without building: for `--check`, `--print` and `--call`.

use std::path::PathBuf;
use std::sync::Arc;

use rbuild_image::reference::Reference;
use rbuild_image::store::Store;
use rbuild_parser::Parsed;
use rbuild_parser::lint::Warning;
use rbuild_parser::plan::{self, Base, BaseId, BaseRequest, Bases, Config, Options, Plan};

use crate::bases::StoreBases;
use crate::error::{BuildError, Problem, SourceFile};
use crate::fetch::Remote;
use crate::inputs::Inputs;
use crate::lock::Pins;
use crate::planning;
use crate::request::Request;

/// A Dockerfile that has been read, with everything that a plan of it depends on.
#[derive(Debug)]
pub struct Examined {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Where it lies on this machine; None if it came on standard input or in an archive.
    pub path: Option<PathBuf>,
    /// Its tree, and what is wrong with it.
    pub parsed: Parsed,
    /// The options of the request, with the ignore file of the context.
    pub options: Options,
}

/// What `--check` found.
#[derive(Debug)]
pub struct Findings {
    /// Warnings in file order.
    pub warnings: Vec<Warning>,
    /// Why it could not be built, as far as that is known without building.
    pub problems: Vec<Problem>,
}

impl Examined {
    /// Reads the Dockerfile and the ignore file.
    ///
    /// # Errors
    /// One of them cannot be read, or the context is not there. Mistakes in the Dockerfile are no errors here.
    pub fn open(store: &Store, request: &Request) -> Result<Self, BuildError> {
        let pins = Arc::new(Pins::open(request.lock.as_ref())?);
        let cancel = crate::Cancel::new();
        let fetch = Remote::new(store, request, pins, &cancel);
        let inputs = Inputs::open(store, request, &fetch, &cancel)?;
        let parsed = rbuild_parser::parse(&inputs.file.text);
        let options = inputs.options(request, &parsed.dockerfile);
        Ok(Self { file: inputs.file, path: inputs.path, parsed, options })
    }

    /// Takes a new text in place of the old one.
    pub fn reread(&mut self, text: Vec<u8>) {
        self.parsed = rbuild_parser::parse(&text);
        self.file = Arc::new(SourceFile { name: self.file.name.clone(), text });
    }

    /// Looks for what should be written differently. An image that is not in the store is taken for one without any
    /// configuration: a check is no reason to fetch it.
    #[must_use]
    pub fn check(&self, store: &Store) -> Findings {
        let file = &self.parsed.dockerfile;
        if !self.parsed.errors.is_empty() {
            let problems = self.parsed.errors.iter().map(planning::problem).collect();
            return Findings { warnings: plan::parse_warnings(file, &self.options), problems };
        }
        let checked = plan::check(file, &self.options, &mut AnyBase::new(store));
        Findings {
            warnings: checked.warnings,
            problems: checked.error.map_or_else(Vec::new, Problem::of_plan),
        }
    }

    /// The plan, and the names of its base images by [`BaseId`].
    ///
    /// # Errors
    /// The Dockerfile cannot be built.
    pub fn plan(&self, store: &Store) -> Result<(Plan, Vec<String>), BuildError> {
        let errors = &self.parsed.errors;
        if !errors.is_empty() {
            return Err(planning::problems(&self.file, errors.iter().map(planning::problem).collect()));
        }
        let mut bases = AnyBase::new(store);
        match plan::plan(&self.parsed.dockerfile, &self.options, &mut bases) {
            Ok(planned) => Ok((planned.plan, bases.names)),
            Err(error) => Err(planning::problems(&self.file, Problem::of_plan(error))),
        }
    }
}

/// Images of the store, and stand-ins for those that are not there.
struct AnyBase<'a> {
    store: StoreBases<'a>,
    names: Vec<String>,
}

impl<'a> AnyBase<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store: StoreBases::new(store), names: Vec::new() }
    }
}

impl Bases for AnyBase<'_> {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        let known = self.store.resolve(request);
        let name = request.name.strip_prefix("docker-image://").unwrap_or(request.name);
        if known.is_err() && name.parse::<Reference>().is_err() {
            return known;
        }
        let id = BaseId(u32::try_from(self.names.len()).map_err(|_| "too many base images".to_owned())?);
        self.names.push(request.name.to_owned());
        let stand_in = || {
            let platform = request.platform.to_owned();
            Base { id, config: Config::default(), author: None, platform, empty: false }
        };
        Ok(known.map_or_else(|_| stand_in(), |base| Base { id, ..base }))
    }
}
