//! RUN: a process in a container, whose changes become a layer.

use rbuild_image::layer::{Author, OwnTimes};
use rbuild_image::store::MAX_FOLDERS;
use rbuild_image::time::Timestamp;
use rbuild_parser::go::quote;
use rbuild_parser::plan::{Run, Step};
use rbuild_runtime::sandbox::{self, Exit, Io, Mount, Rootfs, Spec, Stdio};

use super::caches::Caches;
use super::log::StepLog;
use super::world::World;
use super::{Making, StepFailure, find_or_make, key, mounts, pump};
use crate::chain::Chain;
use crate::key::{MountKey, RunKey, RunNetworkKey, StepKeyKind, StepRecord};
use crate::session::Session;

/// BuildKit's name for the machine a RUN sees.
const HOSTNAME: &str = "buildkitsandbox";

pub(crate) fn perform(
    session: &Session<'_>,
    step: &Step,
    parent: &Chain,
    run: &Run,
) -> Result<StepRecord, StepFailure> {
    let (mounts, files) = mounts::keys(session, run)?;
    let key = key(Some(parent), StepKeyKind::Run(run_key(session, step, run, mounts)));
    let digest = key.digest();
    find_or_make(session, step, parent, key, |making, log| {
        session.keep_inputs(digest, &files)?;
        let started = Timestamp::now_of_files();
        let caches = make(session, step, run, making, log)?;
        making.normalize(session, Author::Process)?;
        caches.commit()?;
        Ok(OwnTimes::IgnoreSince(started))
    })
}

fn run_key(session: &Session<'_>, step: &Step, run: &Run, mounts: Vec<MountKey>) -> RunKey {
    RunKey {
        platform: step.platform.clone(),
        argv: run.argv.clone(),
        env: run.env.pairs(),
        workdir: run.workdir.clone(),
        user: run.user.clone(),
        network: RunNetworkKey::resolve(run.network, session.request.network),
        insecure: run.insecure,
        mounts,
        script: run.script.as_ref().map(|script| (script.name.clone(), script.data.clone())),
        hosts: session.request.hosts.iter().map(|(name, _)| name.to_lowercase()).collect(),
        shm_size: session.request.shm_size,
        ulimits: session.request.ulimits.clone(),
        hostname: given_hostname(session).map(str::to_owned),
    }
}

/// `BUILDKIT_SANDBOX_HOSTNAME`, a build argument.
fn given_hostname<'a>(session: &Session<'a>) -> Option<&'a str> {
    let given = session.request.options.build_args.get("BUILDKIT_SANDBOX_HOSTNAME");
    given.map(String::as_str).filter(|name| !name.is_empty() && *name != HOSTNAME)
}

/// The name of the machine that a RUN sees.
pub(crate) fn hostname<'a>(session: &Session<'a>) -> &'a str {
    given_hostname(session).unwrap_or(HOSTNAME)
}

/// Runs the process. Its changes are in the layer that is being made, and in the caches that are returned.
fn make(
    session: &Session<'_>,
    step: &Step,
    run: &Run,
    making: &Making<'_>,
    log: &mut StepLog<'_>,
) -> Result<Caches, StepFailure> {
    let attached = mounts::attach(session, step, run, making, !session.may_use_cache(step))?;
    let spec = spec(session, run, making, attached.mounts, attached.env)?;
    let exit = run_to_end(session, step, run, &spec, log).map_err(|failure| describe(failure, run))?;
    if exit.success() {
        return Ok(attached.caches);
    }
    Err(StepFailure::new(format!(
        "process {} did not complete successfully: exit code: {}",
        quote(&run.argv.join(" ")),
        exit.code()
    ))
    .exit(exit.code()))
}

fn spec(
    session: &Session<'_>,
    run: &Run,
    making: &Making<'_>,
    mounts: Vec<Mount>,
    secret_env: Vec<(String, String)>,
) -> Result<Spec, StepFailure> {
    let mut env = run.env.pairs();
    env.extend(run.proxy_env.iter().cloned());
    env.extend(secret_env);
    let world = World {
        argv: run.argv.clone(),
        env,
        workdir: &run.workdir,
        user: &run.user,
        hostname: hostname(session),
        network: RunNetworkKey::resolve(run.network, session.request.network),
        insecure: run.insecure,
        hosts: &session.request.hosts,
        script: run.script.as_ref().map(|script| (script.name.as_str(), script.data.as_str())),
        rootfs: rootfs(session, making)?,
        mounts,
        terminal: false,
        shm_size: session.request.shm_size,
        ulimits: &session.request.ulimits,
    };
    Ok(world.spec())
}

/// The parent's layers, and the folder that takes the changes.
fn rootfs(session: &Session<'_>, making: &Making<'_>) -> Result<Rootfs, StepFailure> {
    let mut lowers = making.stack(session)?.to_vec();
    if lowers.len() < MAX_FOLDERS {
        lowers.push(session.mount_points()?);
    }
    session.tidier.wait_for_sandboxes();
    Ok(Rootfs::Overlay { lowers, upper: making.upper_path(), work: making.folder("work")? })
}

fn run_to_end(
    session: &Session<'_>,
    step: &Step,
    run: &Run,
    spec: &Spec,
    log: &mut StepLog<'_>,
) -> Result<Exit, StepFailure> {
    // One pipe for both streams: of two, nobody could tell what was written first.
    let (output, writer) = std::io::pipe().map_err(|cause| StepFailure::io("make a pipe", &cause))?;
    let copy = writer.try_clone().map_err(|cause| StepFailure::io("make a pipe", &cause))?;
    let stdio = Stdio { stdin: Io::Null, stdout: Io::Fd(writer.into()), stderr: Io::Fd(copy.into()) };
    let standby = session.standbys.take();
    let mut child = sandbox::spawn_in(standby, spec, stdio).map_err(StepFailure::spawn)?;
    let killer = child.pidfd().try_clone_to_owned();
    let _guard = session.cancel.on_cancel(move || {
        if let Ok(pidfd) = &killer {
            // An error means that it has ended already.
            let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
        }
    });
    if session.expects_run_after(step) {
        session.standbys.launch(spec, &session.tidier);
    }
    pump::pump(output, |bytes| log.write(bytes))
        .map_err(|cause| StepFailure::io("keep the output of the step", &cause))?;
    let waiting = |cause| StepFailure::io("wait for the process", &cause);
    // A cache is taken out of the overlay when the overlay is gone.
    if !run.mounts.is_empty() {
        return child.wait().map_err(waiting);
    }
    let exit = child.wait_for_processes().map_err(waiting)?;
    session.tidier.take_apart(child);
    Ok(exit)
}

/// A program that could not be started reads as BuildKit says it (spec 6.10).
fn describe(failure: StepFailure, run: &Run) -> StepFailure {
    match failure.exit {
        Some(code @ (126 | 127)) => StepFailure {
            message: format!(
                "process {} did not complete successfully: exit code: {code}: {}",
                quote(&run.argv.join(" ")),
                failure.message
            ),
            ..failure
        },
        _ => failure,
    }
}
