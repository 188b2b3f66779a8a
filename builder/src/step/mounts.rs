//! `RUN --mount`: what each contributes to the key, and how it gets into the container.

use std::path::PathBuf;

use rbuild_image::layer::Owner;
use rbuild_image::store::Layer;
use rbuild_parser::plan::{Copy, Mount, MountKind, Root, Run, Step};
use rbuild_runtime::sandbox::{Mount as SandboxMount, MountSource};

use super::agent::{AgentSocket, SocketOwner};
use super::caches::{self, Caches};
use super::copy::Top;
use super::{Making, StepFailure, copy, materialize};
use crate::cache_mount::CacheIdentity;
use crate::explain::Selected;
use crate::failed::{KeptMount, KeptSource};
use crate::key::{MountKey, MountKeyKind};
use crate::session::Session;

/// Where the files of a bind mount are found in the layer that is made for them.
const BOUND: &str = "/bound";

/// What a container is given.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    pub(crate) mounts: Vec<SandboxMount>,
    /// Variables: secrets with `env=`, the agent's socket.
    pub(crate) env: Vec<(String, String)>,
    /// Caches in use: others wait for these, or go elsewhere, until the step has ended.
    pub(crate) caches: Caches,
    /// Sockets that have to be served until the step has ended.
    pub(crate) agents: Vec<AgentSocket>,
}

/// The state whose files a mount shows, if it shows any.
pub(crate) fn root(mount: &Mount) -> Option<&Root> {
    match &mount.kind {
        MountKind::Bind { from, .. } | MountKind::Cache { from: Some((from, _)), .. } => Some(from),
        MountKind::Cache { .. }
        | MountKind::Tmpfs { .. }
        | MountKind::Secret { .. }
        | MountKind::Ssh { .. } => None,
    }
}

/// The mounts' part of the step's key, and the files that it stands for.
pub(crate) fn keys(session: &Session<'_>, run: &Run) -> Result<(Vec<MountKey>, Vec<Selected>), StepFailure> {
    let mut sets = Vec::new();
    let keys = run.mounts.iter().map(|mount| key(session, mount, &mut sets)).collect::<Result<_, _>>()?;
    Ok((keys, sets))
}

fn key(session: &Session<'_>, mount: &Mount, sets: &mut Vec<Selected>) -> Result<MountKey, StepFailure> {
    let mut content = |from: &Root, source: &str, top| {
        let (digest, selected) = copy::content(session, &files(from, source), top)?;
        sets.extend(selected);
        Ok::<_, StepFailure>(digest)
    };
    let kind = match mount.kind.clone() {
        MountKind::Bind { from, source, writable } => {
            MountKeyKind::Bind { content: content(&from, &source, Top::Shown)?, writable }
        }
        MountKind::Cache { id, sharing, from, source, readonly, owner } => {
            let start = from.as_ref().map(|(from, path)| content(from, path, Top::New)).transpose()?;
            MountKeyKind::Cache { id, sharing: sharing.into(), readonly, source, start, owner }
        }
        MountKind::Tmpfs { size } => MountKeyKind::Tmpfs { size },
        MountKind::Secret { id, env, required, mode, uid, gid } => {
            MountKeyKind::Secret { id, env, required, mode, uid, gid }
        }
        MountKind::Ssh { id, required, mode, uid, gid } => MountKeyKind::Ssh { id, required, mode, uid, gid },
    };
    Ok(MountKey { target: mount.target.clone(), kind })
}

/// What a bind mount shows is what a `COPY --link` of its source would copy, and the directory itself as it is.
pub(super) fn files(from: &Root, source: &str) -> Copy {
    copy::linked(from.clone(), source, BOUND)
}

/// The mounts as a shell where the step failed gets them: without secrets and agents. What could not be made for the
/// step either is left out.
pub(crate) fn kept(session: &Session<'_>, run: &Run) -> Vec<KeptMount> {
    let kept = |mount: &Mount| {
        let source = match &mount.kind {
            MountKind::Bind { from, source, writable } => {
                let layer = materialize(session, &files(from, source), Top::Shown).ok()?;
                KeptSource::Bind { layer, path: BOUND.to_owned(), writable: *writable }
            }
            MountKind::Cache { id, source, owner, from, .. } => {
                let content = match from {
                    Some((from, path)) => Some(copy::content(session, &files(from, path), Top::New).ok()?.0),
                    None => None,
                };
                let identity = CacheIdentity { id, owner: *owner, content: content.as_deref() };
                KeptSource::Cache { folder: identity.folder_name(), path: source.clone() }
            }
            MountKind::Tmpfs { size } => KeptSource::Tmpfs { size: *size },
            MountKind::Secret { .. } | MountKind::Ssh { .. } => return None,
        };
        Some(KeptMount { target: mount.target.clone()?, source })
    };
    run.mounts.iter().filter_map(kept).collect()
}

/// Puts everything in place for the container.
pub(crate) fn attach(
    session: &Session<'_>,
    step: &Step,
    run: &Run,
    making: &Making<'_>,
    without_cache: bool,
) -> Result<Attached, StepFailure> {
    let caches = caches::take(session, step, run, without_cache)?;
    let mut attached = Attached { caches, ..Attached::default() };
    for (number, mount) in run.mounts.iter().enumerate() {
        match &mount.kind {
            MountKind::Bind { from, source, writable } => {
                let layer = session.layer(materialize(session, &files(from, source), Top::Shown)?)?;
                // Two folders are shown as one by an overlay, for which there has to be a place to write.
                let needed = *writable || layer.is_over();
                let scratch = needed.then(|| making.folder(&format!("bind-{number}"))).transpose()?;
                attached.push(mount, bound(&layer, scratch), !writable);
            }
            MountKind::Cache { readonly, .. } => {
                if let Some(source) = attached.caches.source(session, mount)? {
                    attached.push(mount, source, *readonly);
                }
            }
            MountKind::Tmpfs { size } => {
                attached.push(mount, MountSource::Tmpfs { size: *size, mode: 0o755 }, false);
            }
            MountKind::Secret { .. } => secret(session, mount, &mut attached)?,
            MountKind::Ssh { .. } => {
                ssh(session, mount, || making.folder(&format!("ssh-{number}")), &mut attached)?;
            }
        }
    }
    Ok(attached)
}

impl Attached {
    fn push(&mut self, mount: &Mount, source: MountSource, readonly: bool) {
        let Some(target) = mount.target.clone() else { return };
        self.mounts.push(SandboxMount { target, source, readonly, remove_stub: true });
    }
}

/// The files of a bind mount. What is written to them goes to `scratch`, if there is one, and is thrown away with it.
fn bound(layer: &Layer, scratch: Option<PathBuf>) -> MountSource {
    match scratch {
        Some(scratch) => {
            MountSource::Discard { lowers: layer.paths().collect(), source: BOUND.to_owned(), scratch }
        }
        None => MountSource::Bind(layer.fs_path().join(BOUND.trim_start_matches('/'))),
    }
}

fn secret(session: &Session<'_>, mount: &Mount, attached: &mut Attached) -> Result<(), StepFailure> {
    let MountKind::Secret { id, env, required, mode, uid, gid } = &mount.kind else { return Ok(()) };
    let value = session.secret(id)?;
    if value.is_none() && *required {
        return Err(StepFailure::new(format!("secret {id}: not found"))
            .help(format!("pass it with --secret id={id},src=FILE")));
    }
    if let Some(name) = env {
        let text = value.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        attached.env.push((name.clone(), text));
    }
    if let Some(data) = value {
        attached.push(mount, MountSource::File { data, mode: *mode, uid: *uid, gid: *gid }, true);
    }
    Ok(())
}

fn ssh(
    session: &Session<'_>,
    mount: &Mount,
    folder: impl FnOnce() -> Result<PathBuf, StepFailure>,
    attached: &mut Attached,
) -> Result<(), StepFailure> {
    let MountKind::Ssh { id, required, mode, uid, gid } = &mount.kind else { return Ok(()) };
    let Some(target) = &mount.target else { return Ok(()) };
    if !attached.env.iter().any(|(name, _)| name == "SSH_AUTH_SOCK") {
        attached.env.push(("SSH_AUTH_SOCK".into(), target.clone()));
    }
    let Some(agent) = session.request.ssh.get(id) else {
        if *required {
            return Err(StepFailure::new(format!("no SSH key {id:?} forwarded from the client"))
                .help(format!("pass the agent's socket with --ssh {id}")));
        }
        return Ok(());
    };
    let owners = session.store.flavour().owners();
    let owner = SocketOwner { mode: *mode, owner: Owner { uid: *uid, gid: *gid }, owners };
    let socket = AgentSocket::open(&folder()?, agent, owner)
        .map_err(|cause| StepFailure::io(&format!("make a socket for the SSH agent {id:?}"), &cause))?;
    attached.push(mount, MountSource::Bind(socket.path().to_owned()), false);
    attached.agents.push(socket);
    Ok(())
}
