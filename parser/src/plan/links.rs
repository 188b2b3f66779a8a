//! Which stage or image is meant by which name (spec 4.1, 4.3, 4.4).
//!
//! FROM binds early: to a stage above it whose lower-case name it spells exactly. `--from` binds late: to the last
//! stage of that name, in any case. Both are settled here, for all stages, before anything is executed.

use std::collections::HashMap;

use super::from::Bound;
use super::options::{NamedContext, Options, PlanError, fail};
use super::reference;
use crate::instruction::{Dockerfile, Instruction, Kind, Run};
use crate::source::LineRange;

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Scratch,
    /// By index.
    Stage(usize),
    /// A named context, by its key in the options.
    Context(String),
    /// An image, as written.
    Image(String),
}

/// An edge from a stage to another one.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) to: usize,
    pub(super) lines: LineRange,
}

/// The names of a file.
#[derive(Debug)]
pub(super) struct Links<'a> {
    options: &'a Options,
    platform: String,
    /// The last stage of each name, in lower case.
    names: HashMap<&'a str, usize>,
    /// What people call each stage.
    pub(super) titles: Vec<String>,
}

impl<'a> Links<'a> {
    pub(super) fn new(file: &'a Dockerfile, options: &'a Options, platform: String) -> Self {
        let name = |index: usize| file.stages[index].from.kind.name.as_ref().map(|name| name.lower.as_str());
        let count = file.stages.len();
        Self {
            options,
            platform,
            names: (0..count).filter_map(|index| Some((name(index)?, index))).collect(),
            titles: (0..count)
                .map(|index| name(index).map_or_else(|| format!("stage-{index}"), str::to_owned))
                .collect(),
        }
    }

    /// The stage that the build is for.
    pub(super) fn target(&self) -> Result<usize, PlanError> {
        let last = self.titles.len().checked_sub(1);
        let last = last.ok_or_else(|| PlanError::new("dockerfile contains no stages to build"))?;
        let Some(target) = &self.options.target else { return Ok(last) };
        self.names.get(target.to_lowercase().as_str()).copied().ok_or_else(|| {
            let message = format!("target stage {} could not be found", crate::go::quote(target));
            PlanError::new(crate::suggest::with_suggestion(message, target, self.names(), false))
        })
    }

    /// The names of all stages, in lower case.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self.names.keys().copied().collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// The named context that stands for a name, if there is one.
    pub(super) fn context(&self, name: &str) -> Option<&'a str> {
        let short = reference::familiar(name);
        if matches!(short, "scratch" | "context") || self.options.contexts.is_empty() {
            return None;
        }
        let contexts = &self.options.contexts;
        let qualified = contexts.get_key_value(&format!("{short}::{}", self.platform));
        qualified.or_else(|| contexts.get_key_value(short)).map(|(key, _)| key.as_str())
    }

    /// What kind of context this is.
    pub(super) fn named(&self, key: &str) -> Option<&'a NamedContext> {
        self.options.contexts.get(key)
    }

    /// The image that an origin is, by the text that it is resolved by.
    pub(super) fn image<'o>(&'o self, origin: &'o Origin) -> Option<&'o str> {
        match origin {
            Origin::Image(name) => Some(name),
            Origin::Context(key) => match self.named(key) {
                Some(NamedContext::Image(text)) if text != "docker-image://scratch" => Some(text),
                _ => None,
            },
            Origin::Scratch | Origin::Stage(_) => None,
        }
    }

    /// What `COPY --from` means.
    pub(super) fn copy_from(&self, from: &str) -> Result<Origin, PlanError> {
        if from.contains('$') {
            return fail(
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global \
                 scope as a workaround",
            );
        }
        match from.parse::<i64>() {
            Err(_) => Ok(self.late(from)),
            Ok(index) => usize::try_from(index)
                .ok()
                .filter(|index| *index < self.titles.len())
                .map(Origin::Stage)
                .ok_or_else(|| PlanError::new(format!("invalid stage index {index}"))),
        }
    }

    /// What `--mount=from=` means. No index.
    pub(super) fn late(&self, from: &str) -> Origin {
        if from == "scratch" {
            return Origin::Scratch;
        }
        if let Some(&stage) = self.names.get(from.to_lowercase().as_str()) {
            return Origin::Stage(stage);
        }
        match self.context(from) {
            Some(key) => Origin::Context(key.to_owned()),
            None => Origin::Image(from.to_owned()),
        }
    }

    /// All places that an instruction takes files from, other than the build context.
    pub(super) fn origins(&self, instruction: &Instruction) -> Result<Vec<Origin>, PlanError> {
        match &instruction.kind {
            Kind::Copy(copy) => match copy.from.as_ref().filter(|from| !from.value.is_empty()) {
                Some(from) => Ok(vec![self.copy_from(from.as_str())?]),
                None => Ok(Vec::new()),
            },
            Kind::Run(run) => Ok(mount_origins(run).map(|from| self.late(from)).collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// The stages that a stage needs.
    pub(super) fn edges<'i>(
        &self,
        base: &Bound,
        instructions: impl Iterator<Item = &'i Instruction>,
    ) -> Result<Vec<Edge>, PlanError> {
        let mut edges = Vec::new();
        if let Origin::Stage(to) = base.origin {
            edges.push(Edge { to, lines: base.lines });
        }
        if base.replaced {
            return Ok(edges);
        }
        for instruction in instructions {
            for origin in self.origins(instruction)? {
                match origin {
                    Origin::Stage(to) => edges.push(Edge { to, lines: instruction.lines }),
                    Origin::Image(name) => check_reference(&name, instruction.lines)?,
                    Origin::Scratch | Origin::Context(_) => {}
                }
            }
        }
        Ok(edges)
    }
}

/// The `from`s of a RUN's mounts, which are never expanded.
fn mount_origins(run: &Run) -> impl Iterator<Item = &str> {
    run.mounts.iter().filter_map(|mount| {
        let from = mount.fields.iter().rev().find(|field| field.key == "from")?;
        from.value.as_deref().filter(|value| !value.is_empty())
    })
}

/// Fails if `name` cannot be an image.
pub(super) fn check_reference(name: &str, lines: LineRange) -> Result<(), PlanError> {
    reference::validate(name).map_err(|cause| {
        PlanError::new(format!("failed to parse stage name {}: {cause}", crate::go::quote(name))).at(lines)
    })
}

/// Fails if a stage needs itself, however indirectly.
pub(super) fn refuse_cycles(edges: &[Vec<Edge>], titles: &[String]) -> Result<(), PlanError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; edges.len()];
    for start in 0..edges.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        let mut path = vec![(start, 0)];
        while let Some((stage, next)) = path.last_mut() {
            let Some(edge) = edges[*stage].get(*next) else {
                marks[*stage] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[edge.to] {
                Mark::Done => {}
                Mark::New => {
                    marks[edge.to] = Mark::Open;
                    path.push((edge.to, 0));
                }
                Mark::Open => {
                    return Err(cycle(&path, edge.to, edges, &titles[edge.to]));
                }
            }
        }
    }
    Ok(())
}

/// The error for the cycle that the end of `path` is: all its instructions, the first in the file first.
fn cycle(path: &[(usize, usize)], back_to: usize, edges: &[Vec<Edge>], title: &str) -> PlanError {
    let of_cycle = path.iter().map(|(stage, _)| *stage).skip_while(|stage| *stage != back_to);
    let stages: Vec<usize> = of_cycle.chain([back_to]).collect();
    let steps = stages.windows(2).map(|pair| (pair[0], pair[1]));
    let between = |(from, to): (usize, usize)| edges[from].iter().filter(move |edge| edge.to == to);
    let mut lines: Vec<LineRange> = steps.flat_map(between).map(|edge| edge.lines).collect();
    lines.sort_unstable_by_key(|lines| (lines.first, lines.last));
    lines.dedup();
    let message = format!("circular dependency detected on stage: {title}");
    PlanError { also: lines.split_off(1), ..PlanError::new(message).at(lines[0]) }
}
