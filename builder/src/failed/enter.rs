//! Going where a step failed.

use std::path::PathBuf;

use rbuild_image::store::{HeldStep, Layer, Store, StoreError};
use rbuild_runtime::sandbox::{Mount, MountSource, Rootfs, Spec};

use super::record::{Kept, KeptMount, KeptSource};
use crate::step::World;

/// What is run there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The stage's shell, for somebody at a terminal.
    Shell,
    /// A line for the stage's shell.
    Line(String),
    /// A program with its arguments.
    Argv(Vec<String>),
}

/// Why nobody can go there.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Somebody is there already.
    #[error("the failed step {0} is in use by another rbuild")]
    InUse(String),
    /// A layer that it stands on is gone.
    #[error("layer {0} is not in the store any more")]
    NoLayer(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A failed step that was entered. Nobody else can as long as this lives.
#[derive(Debug)]
pub struct Entered {
    /// What to run.
    pub spec: Spec,
    _held: HeldStep,
    _layers: Vec<Layer>,
}

/// All kept failed steps, the oldest first; those that this version cannot read are left out.
///
/// # Errors
/// The store cannot be read.
pub fn list(store: &Store) -> Result<Vec<Kept>, StoreError> {
    let mut all = Vec::new();
    for name in store.failed_steps()? {
        let about = store.failed_step(&name)?.unwrap_or_default();
        all.extend(serde_json::from_slice::<Kept>(&about).ok());
    }
    Ok(all)
}

/// The kept failed step that is meant: the last one, or that of a build (its name or the beginning of it), and with a
/// number that step of it.
///
/// # Errors
/// The store cannot be read.
pub fn find(store: &Store, build: &str, number: Option<usize>) -> Result<Option<Kept>, StoreError> {
    let of_build = |kept: &Kept| build == "last" || (build.len() >= 4 && kept.name().starts_with(build));
    let is_it = |kept: &Kept| of_build(kept) && number.is_none_or(|number| number == kept.number);
    Ok(list(store)?.into_iter().rfind(is_it))
}

/// Goes there. `terminal` says whether the program gets one.
///
/// # Errors
/// See [`EnterError`].
pub fn enter(store: &Store, kept: &Kept, program: Program, terminal: bool) -> Result<Entered, EnterError> {
    let held = store.hold_failed_step(&kept.name())?.ok_or_else(|| EnterError::InUse(kept.name()))?;
    let mut layers = Vec::new();
    for id in &kept.layers {
        layers.push(store.layer(*id)?.ok_or_else(|| EnterError::NoLayer(id.to_string()))?);
    }
    let mut lowers = store.stack(&layers)?;
    if lowers.is_empty() {
        lowers.push(held.scratch("empty")?);
    }
    let mut mounts = Vec::new();
    for (number, mount) in kept.scene.mounts.iter().enumerate() {
        mounts.extend(place(store, &held, mount, number, &mut layers)?);
    }
    let scene = &kept.scene;
    let mut env = scene.env.clone();
    if terminal && !env.iter().any(|(name, _)| name == "TERM") {
        env.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    let rootfs = Rootfs::Overlay { lowers, upper: held.upper(), work: held.scratch("work")? };
    let world = World {
        argv: argv(&scene.shell, program),
        env,
        workdir: &scene.workdir,
        user: &scene.user,
        hostname: &scene.hostname,
        network: scene.network,
        insecure: scene.insecure,
        shm_size: scene.shm_size,
        ulimits: &scene.ulimits,
        hosts: &scene.hosts,
        script: scene.script.as_ref().map(|(name, data)| (name.as_str(), data.as_str())),
        rootfs,
        mounts,
        terminal,
    };
    Ok(Entered { spec: world.spec(), _held: held, _layers: layers })
}

fn argv(shell: &[String], program: Program) -> Vec<String> {
    match program {
        // Without the options that make it read one line.
        Program::Shell => shell.first().cloned().into_iter().collect(),
        Program::Line(line) => shell.iter().cloned().chain([line]).collect(),
        Program::Argv(argv) => argv,
    }
}

fn place(
    store: &Store,
    held: &HeldStep,
    mount: &KeptMount,
    number: usize,
    layers: &mut Vec<Layer>,
) -> Result<Option<Mount>, EnterError> {
    let inside = |fs: PathBuf, path: &str| fs.join(path.trim_start_matches('/'));
    let (source, readonly) = match &mount.source {
        KeptSource::Bind { layer, path, writable } => {
            let layer = store.layer(*layer)?.ok_or_else(|| EnterError::NoLayer(layer.to_string()))?;
            let source = if *writable || layer.is_over() {
                let scratch = held.scratch(&format!("mount-{number}"))?;
                MountSource::Discard { lowers: layer.paths().collect(), source: path.clone(), scratch }
            } else {
                MountSource::Bind(inside(layer.fs_path(), path))
            };
            layers.push(layer);
            (source, !writable)
        }
        KeptSource::Cache { folder, path } => {
            let cache = crate::cache_mount::folder_of(store).join(folder);
            if !cache.is_dir() {
                return Ok(None);
            }
            let scratch = held.scratch(&format!("mount-{number}"))?;
            let source = format!("/{}", path.trim_start_matches('/'));
            (MountSource::Discard { lowers: vec![cache], source, scratch }, false)
        }
        KeptSource::Tmpfs { size } => (MountSource::Tmpfs { size: *size, mode: 0o755 }, false),
    };
    Ok(Some(Mount { target: mount.target.clone(), source, readonly, remove_stub: true }))
}
