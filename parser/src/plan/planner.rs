//! One run through a Dockerfile: link, find out what is needed, carry it out.

mod reach;

use std::collections::HashMap;
use std::rc::Rc;

use self::reach::Image;
use super::epoch::Epoch;
use super::from::{Bound, bind};
use super::globals::Globals;
use super::history::CreatedBy;
use super::instructions::dispatch;
use super::links::{Links, Origin};
use super::options::{Bases, NamedContext, Options, PlanError, fail};
use super::platform::Platform;
use super::state::State;
use super::types::{HistoryEntry, Moment, Op, Plan, Root, Step, StepId, Target};
use crate::expand::Lookup;
use crate::instruction::{Dockerfile, Instruction, Kind};
use crate::lint::{CheckConfig, Linter, Rule, parse_time, structure};
use crate::source::LineRange;

/// Where an instruction stands.
pub(super) struct Site<'s> {
    pub(super) lines: LineRange,
    /// The keyword as written.
    pub(super) keyword: &'s str,
    /// What people call the stage.
    pub(super) stage_title: &'s str,
    /// The instruction as written, for the titles of steps.
    pub(super) text: &'s str,
    pub(super) escape: char,
    pub(super) onbuild: bool,
}

/// A stage that has been carried out.
#[derive(Clone)]
struct Done {
    root: Root,
    /// What the stages that are based on it start with. The last one of them takes it away, so that it need not copy
    /// what it changes.
    state: Option<State>,
    /// How many will still ask for the state.
    heirs: usize,
}

/// What is known so far.
pub(super) struct Planner<'a> {
    file: &'a Dockerfile,
    pub(super) options: &'a Options,
    bases: &'a mut (dyn Bases + 'a),
    pub(super) lint: &'a mut Linter,
    pub(super) globals: Globals,
    target_platform: Platform,
    pub(super) links: Rc<Links<'a>>,
    pub(super) proxies: Vec<(String, String)>,
    /// ONBUILD instructions that a stage has to carry out first.
    triggers: Vec<Option<Rc<[Instruction]>>>,
    images: HashMap<(String, String), Rc<Image>>,
    /// What the stages that are done left behind.
    results: Vec<Option<Done>>,
    steps: Vec<Step>,
    /// Entries and the ones before them. Stages share what they have in common.
    history: Vec<(HistoryEntry, Option<usize>)>,
    /// Instructions that cannot be carried out.
    mistakes: Vec<PlanError>,
    /// Number of the last step of the current stage, and how many it has.
    position: (u32, u32),
    /// The step after which everything else does not matter, and what its stage was then.
    until: Option<StepId>,
    reached: Option<State>,
    /// How many more names may be compared with those of undefined variables.
    pub(super) comparisons: usize,
}

/// The checks that the file or the command line asks for.
pub(super) fn check_config(file: &Dockerfile, options: &Options) -> Result<CheckConfig, PlanError> {
    let given = options.build_args.get("BUILDKIT_DOCKERFILE_CHECK").map(String::as_str);
    let text = given.or_else(|| file.directives.check.as_ref().map(|check| check.value.as_str()));
    Ok(CheckConfig::parse(text.unwrap_or(""))?)
}

/// `--platform`, or that of the machine.
pub(super) fn target_platform(options: &Options) -> Result<Platform, PlanError> {
    let text = options.platform.as_deref().unwrap_or(&options.build_platform);
    Platform::parse(text).map_err(|cause| PlanError::new(format!("failed to parse platform {text}: {cause}")))
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        file: &'a Dockerfile,
        options: &'a Options,
        bases: &'a mut (dyn Bases + 'a),
        lint: &'a mut Linter,
    ) -> Result<Self, PlanError> {
        parse_time(file, lint)?;
        structure(file, lint)?;
        let target_platform = target_platform(options)?;
        let globals = Globals::new(file, options, &target_platform)?;
        Ok(Self {
            file,
            options,
            bases,
            lint,
            globals,
            links: Rc::new(Links::new(file, options, target_platform.format())),
            target_platform,
            proxies: super::run::proxies(&options.build_args),
            triggers: vec![None; file.stages.len()],
            images: HashMap::new(),
            results: Vec::new(),
            steps: Vec::new(),
            history: Vec::new(),
            mistakes: Vec::new(),
            position: (0, 0),
            until: None,
            reached: None,
            comparisons: super::expansion::MOST_COMPARISONS,
        })
    }

    /// Carries out the stages that the target needs; when checking without a target, all of them.
    pub(super) fn build(&mut self, checking: bool) -> Result<Plan, PlanError> {
        match self.carry_out(checking)? {
            (target, Some(state)) => Ok(self.finish(state, target)),
            (_, None) => fail("the target stage was not planned"),
        }
    }

    /// Carries out everything up to a step, and says what its stage is then.
    pub(super) fn moment(&mut self, step: StepId) -> Result<Option<Moment>, PlanError> {
        self.until = Some(step);
        self.carry_out(false)?;
        Ok(self.reached.take().map(|state| Moment {
            env: state.variables.environment(),
            shell: state.shell(),
            config: state.into_config(),
        }))
    }

    /// The target, and what became of it.
    fn carry_out(&mut self, checking: bool) -> Result<(usize, Option<State>), PlanError> {
        let links = Rc::clone(&self.links);
        let bound = bind(self.file, &links, &self.globals, &self.target_platform, self.lint)?;
        let target = links.target()?;
        let everything = checking && self.options.target.is_none();
        let reachable = self.reach(&bound, target, everything)?;
        self.results = vec![None; bound.len()];
        let mut heirs = vec![0; bound.len()];
        for from in bound.iter().zip(&reachable).filter_map(|(from, reachable)| reachable.then_some(from)) {
            if let Origin::Stage(parent) = from.origin {
                heirs[parent] += 1;
            }
        }
        let mut result = None;
        for (index, from) in bound.iter().enumerate().filter(|(index, _)| reachable[*index]) {
            let state = match self.stage(index, from, checking) {
                Ok(_) if self.reached.is_some() || self.has_no_room() => break,
                Ok(state) => state,
                // Other stages may depend on this one.
                Err(error) => {
                    self.mistakes.push(error);
                    break;
                }
            };
            if index == target {
                result = Some(state.clone());
            }
            let (root, heirs) = (state.root.clone(), heirs[index]);
            self.results[index] = Some(Done { root, state: (heirs > 0).then(|| state.into_child()), heirs });
        }
        if let Some(error) = together(std::mem::take(&mut self.mistakes)) {
            return Err(error);
        }
        Ok((target, result))
    }

    /// What a stage starts with.
    fn start(&mut self, from: &Bound) -> Result<State, PlanError> {
        let platform = self.target_platform.format();
        if let Origin::Stage(parent) = from.origin {
            let done = self.results[parent].as_mut().expect("a base is a stage above, and reached");
            done.heirs -= 1;
            let state = if done.heirs == 0 { done.state.take() } else { done.state.clone() };
            return Ok(state.expect("it is kept until the last heir has it"));
        }
        if let Some(image) = self.image_of(from)? {
            return Ok(image.state.clone());
        }
        Ok(match &from.origin {
            Origin::Context(key) if self.links.named(key) == Some(&NamedContext::Folder) => {
                State::empty(Root::NamedContext(key.clone()), platform)
            }
            _ => State::empty(Root::Scratch, platform),
        })
    }

    fn stage(&mut self, index: usize, from: &Bound, checking: bool) -> Result<State, PlanError> {
        let file = self.file;
        let stage = &file.stages[index];
        let links = Rc::clone(&self.links);
        self.lint.enter(&stage.from.comments)?;
        let mut state = self.start(from)?;
        if !checking && let Origin::Image(name) = &from.origin {
            self.warn_about_platform(name, &state, from);
        }
        if from.replaced {
            return Ok(state);
        }
        let triggers = self.triggers[index].clone().unwrap_or_default();
        let makes_step = |each: &&Instruction| {
            matches!(each.kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
        };
        let steps = triggers.iter().chain(&stage.instructions).filter(makes_step).count();
        let pulled = u32::from(matches!(from.origin, Origin::Image(_)));
        self.position = (pulled, pulled + u32::try_from(steps).unwrap_or(u32::MAX - 1));
        for (instruction, onbuild) in triggers
            .iter()
            .map(|each| (each, true))
            .chain(stage.instructions.iter().map(|each| (each, false)))
        {
            self.lint.enter(&instruction.comments)?;
            let site = Site {
                lines: if onbuild { from.lines } else { instruction.lines },
                keyword: instruction.keyword.as_str(),
                stage_title: &links.titles[index],
                text: &instruction.text,
                escape: if onbuild { '\\' } else { file.escape.char() },
                onbuild,
            };
            if let Err(error) = dispatch(self, &mut state, instruction, &site) {
                // The next mistake does not have to wait for this one to be mended.
                self.lint.silence();
                self.mistakes.push(error.at(site.lines));
                if self.has_no_room() {
                    break;
                }
            }
            if self.until.is_some_and(|step| state.root == Root::Step(step)) {
                self.reached = Some(state.clone());
                break;
            }
        }
        Ok(state)
    }

    /// Variables have become so much text that everything else would be refused for the same reason.
    fn has_no_room(&self) -> bool {
        !self.mistakes.is_empty() && self.globals.budget.is_spent()
    }

    fn warn_about_platform(&mut self, name: &str, state: &State, from: &Bound) {
        let Ok(actual) = Platform::parse(&state.platform) else { return };
        if actual.os != from.platform.os || actual.arch != from.platform.arch {
            self.lint.warn(Rule::InvalidBaseImagePlatform, from.lines, || {
                format!(
                    "Base image {name} was pulled with platform \"{}\", expected \"{}\" for current build",
                    actual.format(),
                    from.platform.format()
                )
            });
        }
    }

    /// The files of a stage, context or image. `not_ready` is the error if it is a stage that comes later.
    pub(super) fn root(
        &mut self,
        origin: &Origin,
        lines: LineRange,
        not_ready: impl FnOnce(usize) -> String,
    ) -> Result<Root, PlanError> {
        match origin {
            Origin::Scratch => Ok(Root::Scratch),
            Origin::Stage(index) => match &self.results[*index] {
                Some(done) => Ok(done.root.clone()),
                None => fail(not_ready(*index)),
            },
            Origin::Context(key) if self.links.named(key) == Some(&NamedContext::Folder) => {
                Ok(Root::NamedContext(key.clone()))
            }
            Origin::Context(_) | Origin::Image(_) => {
                let platform = self.target_platform.clone();
                let bound = Bound { origin: origin.clone(), platform, replaced: false, lines };
                Ok(match self.image_of(&bound)? {
                    Some(image) if !image.base.empty => Root::Base(image.base.id),
                    _ => Root::Scratch,
                })
            }
        }
    }

    /// The value of a global ARG or predefined argument.
    pub(super) fn global(&self, name: &str) -> Option<&str> {
        self.globals.variables.get(name)
    }

    pub(super) fn epoch(&self) -> Option<i64> {
        match self.globals.epoch {
            Epoch::Seconds(seconds) => Some(seconds),
            Epoch::Unset | Epoch::Context(_) | Epoch::Added(_) => None,
        }
    }

    /// `BUILDKIT_CACHE_MOUNT_NS`: what the names of cache mounts are told apart by.
    pub(super) fn cache_space(&self) -> Option<&'a str> {
        let given = self.options.build_args.get("BUILDKIT_CACHE_MOUNT_NS");
        given.map(String::as_str).filter(|space| !space.is_empty())
    }

    /// An entry of the history without a layer.
    pub(super) fn note(&mut self, state: &mut State, created_by: String) {
        self.remember(state, HistoryEntry { created_by: created_by.into(), layer: None });
    }

    fn remember(&mut self, state: &mut State, entry: HistoryEntry) {
        self.history.push((entry, state.history));
        state.history = Some(self.history.len() - 1);
    }

    /// Counts a step that has nothing to do.
    pub(super) fn count_step(&mut self) {
        self.position.0 += 1;
    }

    /// A step, and its entry in the history.
    pub(super) fn step(
        &mut self,
        state: &mut State,
        op: Op,
        created_by: impl Into<CreatedBy>,
        site: &Site<'_>,
    ) {
        self.count_step();
        let id = StepId(
            u32::try_from(self.steps.len()).expect("a file of less than 4 GiB has fewer instructions"),
        );
        let arguments = site.text.get(site.keyword.len()..).unwrap_or_default();
        self.steps.push(Step {
            id,
            parent: std::mem::replace(&mut state.root, Root::Step(id)),
            op,
            stage: site.stage_title.to_owned(),
            platform: state.platform.clone(),
            only_stage: self.file.stages.len() == 1 && self.file.stages[0].from.kind.name.is_none(),
            position: self.position,
            text: format!("{}{arguments}", site.keyword.to_uppercase()),
            lines: site.lines,
            onbuild: site.onbuild,
        });
        self.remember(state, HistoryEntry { created_by: created_by.into(), layer: Some(id) });
    }

    fn finish(&mut self, mut state: State, target: usize) -> Plan {
        let mut history = Vec::new();
        let mut next = state.history;
        while let Some(index) = next {
            let (entry, before) = &self.history[index];
            history.push(entry.clone());
            next = *before;
        }
        history.reverse();
        let labels = self.options.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
        state.labels.extend(labels);
        let forced = self.options.platform.is_some() || state.platform.is_empty();
        Plan {
            steps: std::mem::take(&mut self.steps),
            target: Target {
                root: state.root.clone(),
                author: state.author.take(),
                base: state.base,
                history,
                platform: if forced { self.target_platform.format() } else { state.platform.clone() },
                config: state.into_config(),
                stage: self.file.stages[target].from.kind.name.as_ref().map(|name| name.lower.to_string()),
                epoch: self.epoch(),
            },
        }
    }
}

/// The first mistake, with the others. An ONBUILD list has all of its mistakes in one place, and one is enough.
fn together(mut mistakes: Vec<PlanError>) -> Option<PlanError> {
    let mut places = std::collections::HashSet::new();
    mistakes.retain(|error| error.lines.is_none_or(|lines| places.insert((lines.first, lines.last))));
    let mut mistakes = mistakes.into_iter();
    let first = mistakes.next()?;
    Some(PlanError { others: mistakes.collect(), ..first })
}
