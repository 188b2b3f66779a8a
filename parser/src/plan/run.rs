//! RUN: what is executed, in which environment, with which mounts (spec 3.2, 2.6).

use super::mount::{Scene, mount};
use super::options::{PlanError, fail};
use super::planner::{Planner, Site};
use super::state::State;
use super::types::{InlineFile, Mount, MountKind, Op, Run, RunNetwork};
use crate::go::quote;
use crate::instruction::{self, Field, Heredoc, Invocation, Network, Security};

const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// RUN.
pub(super) fn run(
    planner: &mut Planner<'_>,
    state: &mut State,
    run: &instruction::Run,
    heredocs: &[Heredoc],
    site: &Site<'_>,
) -> Result<(), PlanError> {
    if !run.devices.is_empty() {
        return fail("device feature is only supported in Dockerfile frontend 1.14.0-labs or later");
    }
    let (argv, script) = command(state, run, heredocs)?;
    let mounts = mounts(planner, state, run, site)?;
    let created_by = state.created_by_run(&argv);
    let op = Run {
        argv,
        env: state.variables.environment(),
        proxy_env: planner.proxies.clone(),
        workdir: if state.config.working_dir.is_empty() {
            "/".to_owned()
        } else {
            state.config.working_dir.clone()
        },
        user: state.config.user.clone(),
        mounts,
        network: match run.network.as_ref().map(|network| network.value) {
            None | Some(Network::Default) => RunNetwork::Default,
            Some(Network::None) => RunNetwork::None,
            Some(Network::Host) => RunNetwork::Host,
        },
        insecure: run.security.as_ref().is_some_and(|security| security.value == Security::Insecure),
        script,
    };
    planner.step(state, Op::Run(op), created_by, site);
    Ok(())
}

fn command(
    state: &State,
    run: &instruction::Run,
    heredocs: &[Heredoc],
) -> Result<(Vec<String>, Option<InlineFile>), PlanError> {
    let shell = |last: String| {
        let mut argv = state.shell();
        argv.push(last);
        argv
    };
    match run.invocation(heredocs) {
        Invocation::Exec([]) => fail("arguments are required"),
        Invocation::Exec(argv) => Ok((argv.to_vec(), None)),
        Invocation::Shell(text) => Ok((shell(text.into_owned()), None)),
        Invocation::Script { name, body } => {
            let script = InlineFile { name: name.to_owned(), data: body.into_owned() };
            Ok((shell(format!("/dev/pipes/{name}")), Some(script)))
        }
    }
}

fn mounts(
    planner: &mut Planner<'_>,
    state: &State,
    run: &instruction::Run,
    site: &Site<'_>,
) -> Result<Vec<Mount>, PlanError> {
    let mut mounts: Vec<Mount> = Vec::with_capacity(run.mounts.len());
    let mut ssh_mounts = 0;
    for written in &run.mounts {
        let fields = written.fields.iter().map(|field| expand(planner, state, field, site));
        let fields: Vec<Field> = fields.collect::<Result<_, _>>()?;
        let scene = Scene { workdir: &state.config.working_dir, ssh_mounts };
        let mut made = mount(&fields, &scene, &mut |from, target| {
            let origin = planner.links.late(from);
            planner.root(&origin, site.lines, |_| {
                format!(
                    "cannot mount from stage {} to {}, stage needs to be defined before current command",
                    quote(from),
                    quote(target)
                )
            })
        })?;
        ssh_mounts += usize::from(matches!(made.kind, MountKind::Ssh { .. }));
        if let (MountKind::Cache { id, .. }, Some(space)) = (&mut made.kind, &planner.cache_space()) {
            *id = format!("{space}/{id}");
        }
        mounts.push(made);
    }
    Ok(mounts)
}

/// Values are expanded, keys and `from` are not.
fn expand(
    planner: &mut Planner<'_>,
    state: &State,
    field: &Field,
    site: &Site<'_>,
) -> Result<Field, PlanError> {
    let value = match &field.value {
        Some(value) if field.key != "from" => Some(planner.expand(state, value, site)?),
        value => value.clone(),
    };
    Ok(Field { text: field.text.clone(), key: field.key.clone(), value })
}

/// The proxy variables among the build arguments, which need no declaration: in upper and in lower case.
pub(super) fn proxies(build_args: &std::collections::BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut proxies = Vec::new();
    for name in PROXIES {
        // In the order of names, so that lower case wins if both are given.
        let value = build_args.iter().rfind(|(given, _)| given.eq_ignore_ascii_case(name));
        if let Some((_, value)) = value.filter(|(_, value)| !value.is_empty()) {
            proxies.push((name.to_owned(), value.clone()));
            proxies.push((name.to_lowercase(), value.clone()));
        }
    }
    proxies
}
