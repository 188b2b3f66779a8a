//! Which stages the target needs. ONBUILD instructions of base images have a say in it, so those are asked for here.

use std::rc::Rc;

use super::Planner;
use crate::instruction::{Instruction, Kind};
use crate::parse::parse_trigger;
use crate::plan::from::Bound;
use crate::plan::links::{Edge, Links, Origin, refuse_cycles};
use crate::plan::options::{Base, BaseRequest, PlanError};
use crate::plan::state::State;
use crate::source::LineRange;
use crate::suggest::with_suggestion;

/// Images that people mean when they mistype a name.
const COMMON_IMAGES: [&str; 14] = [
    "alpine",
    "busybox",
    "centos",
    "debian",
    "fedora",
    "golang",
    "ubuntu",
    "alpine:latest",
    "busybox:latest",
    "centos:latest",
    "debian:latest",
    "fedora:latest",
    "golang:latest",
    "ubuntu:latest",
];

/// A base image, and what a stage that is based on it starts with.
pub(super) struct Image {
    pub(super) base: Base,
    pub(super) state: State,
}

impl Planner<'_> {
    /// The stages that are needed. ONBUILD instructions of base images can add to them.
    pub(super) fn reach(
        &mut self,
        bound: &[Bound],
        target: usize,
        everything: bool,
    ) -> Result<Vec<bool>, PlanError> {
        let links = Rc::clone(&self.links);
        let file = self.file;
        let mut edges: Vec<Vec<Edge>> = Vec::with_capacity(bound.len());
        for (from, stage) in bound.iter().zip(&file.stages) {
            edges.push(links.edges(from, stage.instructions.iter())?);
        }
        refuse_cycles(&edges, &links.titles)?;
        loop {
            let reachable = if everything { vec![true; bound.len()] } else { closure(&edges, target) };
            self.announce(bound, &reachable)?;
            let mut more = false;
            for index in (0..bound.len()).filter(|index| reachable[*index]) {
                if self.triggers[index].is_none() {
                    let triggers = self.read_triggers(&bound[index], bound)?;
                    let added =
                        links.edges(&bound[index], triggers.iter()).map_err(|e| e.at(bound[index].lines))?;
                    more |= !added.is_empty() && !triggers.is_empty();
                    edges[index].extend(added);
                    self.triggers[index] = Some(triggers);
                }
            }
            if !more {
                refuse_cycles(&edges, &links.titles)?;
                return Ok(reachable);
            }
        }
    }

    /// Says which images the stages ask for that were not resolved yet.
    fn announce(&mut self, bound: &[Bound], reachable: &[bool]) -> Result<(), PlanError> {
        let links = Rc::clone(&self.links);
        let target = self.target_platform.format();
        let mut wanted: Vec<(String, String, LineRange)> = Vec::new();
        let mut add = |origin: &Origin, platform: &str, lines| {
            let Some(name) = links.image(origin) else { return };
            let key = (name.to_owned(), platform.to_owned());
            let is_known = wanted.iter().any(|(name, platform, _)| *name == key.0 && *platform == key.1);
            if !is_known && !self.images.contains_key(&key) {
                wanted.push((key.0, key.1, lines));
            }
        };
        for (index, from) in bound.iter().enumerate().filter(|(index, _)| reachable[*index]) {
            add(&from.origin, &from.platform.format(), from.lines);
            let instructions = self.file.stages[index].instructions.iter();
            for instruction in instructions.filter(|_| !from.replaced) {
                for origin in links.origins(instruction).map_err(|error| error.at(instruction.lines))? {
                    add(&origin, &target, instruction.lines);
                }
            }
        }
        let requests: Vec<BaseRequest<'_>> = wanted
            .iter()
            .map(|(name, platform, lines)| BaseRequest { name, platform, lines: *lines })
            .collect();
        self.bases.expect(&requests).map_err(|(at, message)| {
            let (name, _, lines) = &wanted[at];
            unresolved(&self.links, name, message).at(*lines)
        })
    }

    fn read_triggers(&mut self, from: &Bound, bound: &[Bound]) -> Result<Rc<[Instruction]>, PlanError> {
        let texts: Vec<String> = match &from.origin {
            _ if from.replaced => Vec::new(),
            Origin::Stage(parent) if !bound[*parent].replaced => {
                let instructions = self.file.stages[*parent].instructions.iter();
                let trigger = |instruction: &Instruction| match &instruction.kind {
                    Kind::Onbuild(onbuild) => Some(onbuild.trigger.clone()),
                    _ => None,
                };
                instructions.filter_map(trigger).collect()
            }
            Origin::Stage(parent) => {
                let image = self.image_of(&bound[*parent])?;
                image.map_or_else(Vec::new, |image| image.base.config.on_build.clone())
            }
            _ => self.image_of(from)?.map_or_else(Vec::new, |image| image.base.config.on_build.clone()),
        };
        let parse =
            |text: &String| parse_trigger(text).map_err(|cause| PlanError::new(cause.message).at(from.lines));
        texts.iter().map(parse).collect()
    }

    /// The image that a stage starts from, if it is one.
    pub(super) fn image_of(&mut self, from: &Bound) -> Result<Option<Rc<Image>>, PlanError> {
        let links = Rc::clone(&self.links);
        let Some(name) = links.image(&from.origin) else { return Ok(None) };
        self.resolve(name, &from.platform.format(), from.lines).map(Some)
    }

    fn resolve(&mut self, name: &str, platform: &str, lines: LineRange) -> Result<Rc<Image>, PlanError> {
        let key = (name.to_owned(), platform.to_owned());
        if let Some(image) = self.images.get(&key) {
            return Ok(Rc::clone(image));
        }
        let request = BaseRequest { name, platform, lines };
        let base = self
            .bases
            .resolve(&request)
            .map_err(|message| unresolved(&self.links, name, message).at(lines))?;
        let image = Rc::new(Image { state: State::image(&base), base });
        self.images.insert(key, Rc::clone(&image));
        Ok(image)
    }
}

/// Why there is no such image, with the name that may have been meant.
fn unresolved(links: &Links<'_>, name: &str, message: String) -> PlanError {
    let known = links.names().chain(COMMON_IMAGES);
    PlanError::new(with_suggestion(message, name, known, true))
}

/// The stages that `target` needs, itself included.
fn closure(edges: &[Vec<Edge>], target: usize) -> Vec<bool> {
    let mut reachable = vec![false; edges.len()];
    let mut open = vec![target];
    while let Some(stage) = open.pop() {
        if !std::mem::replace(&mut reachable[stage], true) {
            open.extend(edges[stage].iter().map(|edge| edge.to));
        }
    }
    reachable
}
