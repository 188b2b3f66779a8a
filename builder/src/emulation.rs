//! Steps for another architecture than this machine's.
//!
//! COPY, ADD and WORKDIR run no program of the image. A RUN does, and needs somebody who interprets it; whether there
//! is somebody is asked before anything runs, and only if there are such steps. Where there is nobody, the build can
//! still succeed: when the results of all those steps are in the cache. That, too, is found out before: the keys of
//! the steps are derived one after the other, as far as each result is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use rbuild_image::platform::Platform;
use rbuild_image::store::{Published, UnpublishedTar};
use rbuild_parser::plan::{Op, Step, StepId};
use rbuild_runtime::emulation::{self, Emulation};

use crate::build::step_dependencies;
use crate::error::{BuildError, Problem, SourceFile};
use crate::event::Silent;
use crate::explain::Trace;
use crate::planning::problems;
use crate::seal::{Begun, Seal};
use crate::session::{Parts, Session};
use crate::step;

/// Nobody needs DiffIDs.
struct NoSeal;

impl Seal for NoSeal {
    fn begin(&self, _step: StepId, _tar: UnpublishedTar) -> Option<Begun> {
        None
    }

    fn seal(&self, _step: StepId, _layer: Published, _begun: Option<Begun>) {}

    fn is_last(&self, _step: StepId) -> bool {
        false
    }
}

/// Fails if a step would have to run that cannot run here. `parts` is what the build is going to use.
pub(crate) fn check(parts: &Parts<'_>, file: &Arc<SourceFile>) -> Result<(), BuildError> {
    let foreign = foreign_platforms(&parts.work.steps);
    if foreign.is_empty() {
        return Ok(());
    }
    let mut obstacles: BTreeMap<&str, Emulation> = BTreeMap::new();
    for platform in foreign {
        let found = probe(parts, platform)?;
        if !matches!(found, Emulation::Works | Emulation::Unknown) {
            obstacles.insert(platform, found);
        }
    }
    if obstacles.is_empty() {
        return Ok(());
    }
    let trace = Trace::new(&parts.work.steps, |base| parts.bases[base as usize].id);
    let session = Session::looking(Parts { observer: &Silent, sealer: &NoSeal, trace: &trace, ..*parts });
    for step in &parts.work.steps {
        let is_ready = step_dependencies(step).into_iter().all(|needed| session.is_finished(needed));
        match is_ready.then(|| step::perform(&session, step)) {
            Some(Ok(result)) => session.finish(step.id, result),
            _ if parts.cancel.requested() => return Err(BuildError::Interrupted),
            // What is not known yet is made by the build, or fails there.
            _ => {
                if let (Op::Run(_), Some(obstacle)) = (&step.op, obstacles.get(step.platform.as_str())) {
                    return Err(refusal(step, obstacle, file));
                }
            }
        }
    }
    Ok(())
}

/// The platforms of RUN steps that are not this machine's.
fn foreign_platforms(steps: &[Step]) -> Vec<&str> {
    let host = Platform::host();
    let mut all: Vec<&str> = steps
        .iter()
        .filter(|step| matches!(step.op, Op::Run(_)))
        .map(|step| step.platform.as_str())
        .collect();
    all.sort_unstable();
    all.dedup();
    let is_foreign = |text: &&str| {
        let platform = text.parse::<Platform>();
        platform.is_ok_and(|platform| platform.os != host.os || platform.architecture != host.architecture)
    };
    all.into_iter().filter(is_foreign).collect()
}

fn probe(parts: &Parts<'_>, platform: &str) -> Result<Emulation, BuildError> {
    let platform: Platform = platform.parse().expect("the plan has normalised the platform");
    if platform.os != Platform::host().os {
        return Ok(Emulation::Missing);
    }
    let temp = parts.store.temp()?;
    drop(temp.make_dir("probe", 0o755)?);
    // A machine that makes no sandbox says so, and better, when the first step runs.
    Ok(emulation::probe(&platform.architecture, &temp.path().join("probe")).unwrap_or(Emulation::Unknown))
}

fn refusal(step: &Step, obstacle: &Emulation, file: &Arc<SourceFile>) -> BuildError {
    let platform = &step.platform;
    let host = Platform::host();
    let message = format!(
        "this step is for {platform}, and this machine ({host}) does not run programs for that: {}",
        step.text
    );
    let help = match obstacle {
        Emulation::NotInSandbox { handler } => format!(
            "the interpreter {handler} is registered without the flag F, and is not found in containers; install \
             qemu-user-static and binfmt-support, which register it with the flag"
        ),
        _ => "install an emulator: apt-get install qemu-user-static binfmt-support (Debian, Ubuntu), dnf install \
              qemu-user-static (Fedora), or docker run --privileged --rm tonistiigi/binfmt --install all; or let \
              the stage run here, and cross-compile: FROM --platform=$BUILDPLATFORM"
            .to_owned(),
    };
    let problem = Problem { lines: Some(step.lines), help: Some(help), ..Problem::new(message) };
    problems(file, vec![problem])
}
