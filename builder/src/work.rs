//! What a build has to do: the plans for all its platforms as one.
//!
//! Each platform has a plan of its own, since arguments differ. What two of them have in common (a stage with
//! `FROM --platform=$BUILDPLATFORM` that looks at no `TARGET…` argument) is one step here, and is done once.

use std::collections::{BTreeSet, HashMap};

use crate::build::step_dependencies;
use rbuild_parser::plan::{MountKind, Op, Plan, Root, Step, StepId, Target};

/// The steps of all platforms, and what comes out for each.
#[derive(Debug)]
pub(crate) struct Work {
    /// In an order in which they could run one after the other. A step's id is its place here.
    pub(crate) steps: Vec<Step>,
    /// One for each platform, in the order asked for. Never empty.
    pub(crate) targets: Vec<Target>,
    /// For which targets a step is needed, by their places. Empty where there is one target only.
    needed_for: Vec<Vec<usize>>,
    /// The target and the id that a step has in the plan for it. Empty where there is one target only.
    planned_as: Vec<(usize, StepId)>,
}

/// Two steps can only be the same if they have the same one of these.
type Place = (Root, String, (u32, u32));

impl Work {
    /// The work of plans whose `BaseId`s mean the same images. There is at least one plan.
    pub(crate) fn new(plans: Vec<Plan>) -> Self {
        let is_single = plans.len() == 1;
        let mut work =
            Self { steps: Vec::new(), targets: Vec::new(), needed_for: Vec::new(), planned_as: Vec::new() };
        let mut known: HashMap<Place, Vec<StepId>> = HashMap::new();
        for Plan { steps, target } in plans {
            if is_single {
                work.steps = steps;
                work.targets.push(target);
                break;
            }
            let mut places: Vec<StepId> = Vec::with_capacity(steps.len());
            for mut step in steps {
                roots_of(&mut step).into_iter().for_each(|root| move_root(root, &places));
                places.push(work.take(step, &mut known));
            }
            let mut target = target;
            move_root(&mut target.root, &places);
            for id in target.history.iter_mut().filter_map(|entry| entry.layer.as_mut()) {
                *id = places[id.0 as usize];
            }
            work.targets.push(target);
        }
        work
    }

    /// Takes a step of the plan that is being read, if it is not there yet.
    fn take(&mut self, step: Step, known: &mut HashMap<Place, Vec<StepId>>) -> StepId {
        let target = self.targets.len();
        let alike = known.entry((step.parent.clone(), step.stage.clone(), step.position)).or_default();
        let same = alike.iter().copied().find(|id| {
            let other = &self.steps[id.0 as usize];
            other.platform == step.platform && other.op == step.op && other.text == step.text
        });
        let id = same.unwrap_or_else(|| {
            let id = StepId(u32::try_from(self.steps.len()).expect("far fewer instructions"));
            self.planned_as.push((target, step.id));
            self.steps.push(Step { id, ..step });
            self.needed_for.push(Vec::new());
            alike.push(id);
            id
        });
        self.needed_for[id.0 as usize].push(target);
        id
    }

    /// The steps that make the last layer of a target, and whose files no other step reads.
    pub(crate) fn last_steps(&self) -> BTreeSet<StepId> {
        let read: BTreeSet<usize> = self.steps.iter().flat_map(step_dependencies).collect();
        let last = self.targets.iter().filter_map(|target| match target.root {
            Root::Step(id) => Some(id),
            _ => None,
        });
        last.filter(|id| !read.contains(&(id.0 as usize))).collect()
    }

    /// For each step the platform of a plan in which it is, and its id there. `platforms` are those of the targets;
    /// nothing where there is one target only.
    pub(crate) fn origins(&self, platforms: &[String]) -> Vec<(String, StepId)> {
        self.planned_as.iter().map(|(target, id)| (platforms[*target].clone(), *id)).collect()
    }

    /// The platform as titles show it, if there are several: of a step that makes something for one other platform
    /// that as well (`linux/amd64->linux/arm64`).
    pub(crate) fn shown_platform(&self, step: &Step) -> Option<String> {
        let needed_for = self.needed_for.get(step.id.0 as usize)?;
        let platform = &step.platform;
        Some(match needed_for[..] {
            [only] if self.targets[only].platform != *platform => {
                format!("{platform}->{}", self.targets[only].platform)
            }
            _ => platform.clone(),
        })
    }
}

/// The states of file systems that a step reads.
fn roots_of(step: &mut Step) -> Vec<&mut Root> {
    let mut roots = vec![&mut step.parent];
    match &mut step.op {
        Op::Copy(copy) => roots.push(&mut copy.from),
        Op::Run(run) => roots.extend(run.mounts.iter_mut().filter_map(|mount| match &mut mount.kind {
            MountKind::Bind { from, .. } | MountKind::Cache { from: Some((from, _)), .. } => Some(from),
            MountKind::Cache { .. }
            | MountKind::Tmpfs { .. }
            | MountKind::Secret { .. }
            | MountKind::Ssh { .. } => None,
        })),
        Op::Workdir(_) => {}
    }
    roots
}

fn move_root(root: &mut Root, places: &[StepId]) {
    if let Root::Step(id) = root {
        *id = places[id.0 as usize];
    }
}

#[cfg(test)]
mod tests {
    use rbuild_parser::plan::{Base, BaseId, BaseRequest, Bases, Config, Options, plan};

    use super::*;

    struct Any(Vec<(String, String)>);

    impl Bases for Any {
        fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
            let wanted = (request.name.to_owned(), request.platform.to_owned());
            let at = self.0.iter().position(|known| *known == wanted).unwrap_or_else(|| {
                self.0.push(wanted);
                self.0.len() - 1
            });
            let id = BaseId(u32::try_from(at).unwrap());
            let platform = request.platform.to_owned();
            Ok(Base { id, config: Config::default(), author: None, platform, empty: false })
        }
    }

    fn work(text: &str, platforms: &[&str]) -> Work {
        let parsed = rbuild_parser::parse(text.as_bytes());
        let mut bases = Any(Vec::new());
        let plans = platforms.iter().map(|platform| {
            let options = Options {
                platform: Some((*platform).to_owned()),
                build_platform: "linux/amd64".into(),
                ..Options::default()
            };
            plan(&parsed.dockerfile, &options, &mut bases).unwrap().plan
        });
        Work::new(plans.collect())
    }

    #[test]
    fn what_platforms_have_in_common_is_one_step() {
        let text = "FROM --platform=$BUILDPLATFORM base AS tools\nRUN common\n\
                    FROM tools AS cross\nARG TARGETARCH\nRUN build $TARGETARCH\n\
                    FROM base\nRUN native\nCOPY --from=cross /a /a\n";
        let work = work(text, &["linux/amd64", "linux/arm64"]);
        let shown: Vec<(String, &str)> =
            work.steps.iter().map(|step| (work.shown_platform(step).unwrap(), step.text.as_str())).collect();
        let shown: Vec<(&str, &str)> = shown.iter().map(|(a, b)| (a.as_str(), *b)).collect();
        assert_eq!(
            shown,
            [
                ("linux/amd64", "RUN common"),
                ("linux/amd64", "RUN build $TARGETARCH"),
                ("linux/amd64", "RUN native"),
                ("linux/amd64", "COPY --from=cross /a /a"),
                ("linux/amd64->linux/arm64", "RUN build $TARGETARCH"),
                ("linux/arm64", "RUN native"),
                ("linux/arm64", "COPY --from=cross /a /a"),
            ]
        );
        for (place, step) in work.steps.iter().enumerate() {
            assert_eq!(step.id.0 as usize, place);
            let mut step = step.clone();
            for root in roots_of(&mut step) {
                assert!(!matches!(root, Root::Step(id) if id.0 as usize >= place), "order");
            }
        }
        assert_eq!(work.steps[4].parent, Root::Step(StepId(0)));
        let Op::Copy(copy) = &work.steps[6].op else { panic!("a copy") };
        assert_eq!((&copy.from, &work.targets[1].root), (&Root::Step(StepId(4)), &Root::Step(StepId(6))));
        let layers: Vec<_> = work.targets[1].history.iter().filter_map(|entry| entry.layer).collect();
        assert_eq!(layers, [StepId(5), StepId(6)]);
    }

    #[test]
    fn one_platform_is_not_shown() {
        let work = work("FROM base\nRUN a\n", &["linux/arm64"]);
        assert_eq!(work.shown_platform(&work.steps[0]), None);
    }
}
