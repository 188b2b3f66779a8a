//! Keeping a failed step, and forgetting earlier ones.

use rbuild_image::store::{FAILED_STEPS_STAY, Store};
use rbuild_parser::plan::{Moment, Op, Run, Step};

use super::record::{Kept, Scene};
use crate::explain::BuildId;
use crate::key::RunNetworkKey;
use crate::session::Session;
use crate::step::{StepFailure, hostname, kept_mounts};

/// Keeps what a failed step left. False if that is not possible: the failure of the step is what matters.
pub(crate) fn keep(session: &Session<'_>, step: &Step, title: &str, failure: &mut StepFailure) -> bool {
    try_keep(session, step, title, failure).is_some()
}

fn try_keep(session: &Session<'_>, step: &Step, title: &str, failure: &mut StepFailure) -> Option<()> {
    let layers = session.chain(&step.parent).ok()?.layers();
    // Half of a copy shows nothing: the state that it was to be copied into does.
    let left = failure.remains.take().filter(|_| matches!(step.op, Op::Run(_)));
    let moment = session.recipe.moment(session.store, step.id)?;
    let kept = Kept {
        build: session.request.id.clone(),
        number: step.id.0 as usize + 1,
        title: title.to_owned(),
        dockerfile: session.dockerfile.to_owned(),
        line: step.lines.first,
        message: failure.message.clone(),
        layers,
        scene: scene(session, step, moment),
    };
    let about = serde_json::to_vec(&kept).expect("the record has only strings, numbers and lists");
    session.store.keep_failed_step(&kept.name(), left.map(|left| *left), &kept.all_layers(), &about).ok()
}

fn scene(session: &Session<'_>, step: &Step, moment: Moment) -> Scene {
    let run: Option<&Run> = match &step.op {
        Op::Run(run) => Some(run),
        Op::Copy(_) | Op::Workdir(_) => None,
    };
    let workdir = match run {
        Some(run) => run.workdir.clone(),
        None => moment.config.working_dir,
    };
    let network = match run {
        Some(run) => RunNetworkKey::resolve(run.network, session.request.network),
        None => RunNetworkKey::resolve(rbuild_parser::plan::RunNetwork::Default, session.request.network),
    };
    Scene {
        shell: moment.shell,
        env: moment.env.pairs(),
        workdir: if workdir.is_empty() { "/".to_owned() } else { workdir },
        user: moment.config.user,
        hostname: hostname(session).to_owned(),
        network,
        insecure: run.is_some_and(|run| run.insecure),
        shm_size: session.request.shm_size,
        ulimits: session.request.ulimits.clone(),
        hosts: session.request.hosts.clone(),
        script: run
            .and_then(|run| run.script.as_ref())
            .map(|script| (script.name.clone(), script.data.clone())),
        mounts: run.map(|run| kept_mounts(session, run)).unwrap_or_default(),
    }
}

/// Forgets the kept steps of earlier builds of a Dockerfile, and what is too old. That it cannot be forgotten now is no
/// reason to fail.
pub(crate) fn forget(store: &Store, dockerfile: &str, build: &BuildId) {
    let outdated = |_: &str, about: &[u8]| {
        serde_json::from_slice::<Kept>(about)
            .map_or(true, |kept| kept.dockerfile == dockerfile && kept.build != *build)
    };
    if store.failed_steps().is_ok_and(|names| !names.is_empty()) {
        let _ = store.remove_failed_steps(&outdated);
        let _ = store.expire_failed_steps(FAILED_STEPS_STAY);
    }
}
