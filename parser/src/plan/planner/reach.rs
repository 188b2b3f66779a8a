//! Which stages the target needs. ONBUILD instructions of base images have a say in it, so those are asked for here.

use std::rc::Rc;

use super::Planner;
use crate::instruction::{Instruction, Kind};
use crate::parse::parse_trigger;
use crate::plan::from::Bound;
use crate::plan::links::{Edge, Origin, refuse_cycles};
use crate::plan::options::{Base, BaseRequest, NamedContext, PlanError};
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
        let name = match &from.origin {
            Origin::Image(name) => name.clone(),
            Origin::Context(key) => match self.links.named(key) {
                Some(NamedContext::Image(text)) if text != "docker-image://scratch" => text.clone(),
                _ => return Ok(None),
            },
            Origin::Scratch | Origin::Stage(_) => return Ok(None),
        };
        self.resolve(&name, &from.platform.format(), from.lines).map(Some)
    }

    fn resolve(&mut self, name: &str, platform: &str, lines: LineRange) -> Result<Rc<Image>, PlanError> {
        let key = (name.to_owned(), platform.to_owned());
        if let Some(image) = self.images.get(&key) {
            return Ok(Rc::clone(image));
        }
        let request = BaseRequest { name, platform, lines };
        let base = self.bases.resolve(&request).map_err(|message| {
            let known = self.links.names().chain(COMMON_IMAGES);
            PlanError::new(with_suggestion(message, name, known, true)).at(lines)
        })?;
        let image = Rc::new(Image { state: State::image(&base), base });
        self.images.insert(key, Rc::clone(&image));
        Ok(image)
    }
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
