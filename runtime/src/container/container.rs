//! Making a container, running it, removing it.

use std::os::fd::AsFd;
use std::path::PathBuf;

use rbuild_image::config::ContainerConfig;
use rbuild_image::digest::{ImageId, LayerId};
use rbuild_image::layer::Owner;
use rbuild_image::store::{Layer, Store, TempDir};
use rbuild_image::time::Timestamp;
use rustix::fs::Mode;
use rustix::rand::GetRandomFlags;
use serde::{Deserialize, Serialize};

use super::error::ContainerError;
use super::folder::{self, Folder};
use super::host::Host;
use super::id::ContainerId;
use super::settings::RunSettings;
use super::spec::{Facts, spec};
use super::state::State;
use super::volumes::{self, Volumes};
use super::{attach, command, list, names};
use crate::sandbox::{Rootfs, Spec};

/// The image that a container stands on.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// Which image.
    pub id: ImageId,
    /// As the user called it.
    pub name: &'a str,
    /// How its containers start.
    pub config: &'a ContainerConfig,
    /// Lowest first.
    pub layers: &'a [LayerId],
}

/// `config.json`: what a container was made with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Config {
    pub(super) image: ImageId,
    pub(super) image_name: String,
    pub(super) created: Timestamp,
    /// The program with its arguments, after docker's rules.
    pub(super) argv: Vec<String>,
    pub(super) settings: RunSettings,
}

/// A container that this process made, and that nobody else touches as long as this value lives.
#[derive(Debug)]
pub struct Container {
    store: Store,
    id: ContainerId,
    name: String,
    folder: Folder,
    spec: Spec,
    settings: RunSettings,
}

/// Makes a container, runs its program in the foreground with our own streams, and with
/// [`RunSettings::remove`] removes it. Returns the program's exit code, 128 + signal if a signal ended it.
///
/// Belongs on a thread that stays until the end, best the main one before there are others: signals are blocked in
/// this thread and handed on to the program.
///
/// # Errors
/// See [`ContainerError`], and [`ContainerError::exit_code`]. A container that is to be removed is removed then as
/// well.
pub fn run(store: &Store, base: &Base<'_>, settings: &RunSettings) -> Result<i32, ContainerError> {
    attach::check_terminal(settings)?;
    Container::create(store, base, settings)?.attach()
}

impl Container {
    /// Makes a container that has not run yet. The image's layers stay in the store as long as it does.
    ///
    /// # Errors
    /// No program to run, a layer that is gone, a name that is taken, a volume that cannot be made.
    pub fn create(store: &Store, base: &Base<'_>, settings: &RunSettings) -> Result<Self, ContainerError> {
        let layers = layers(store, base.layers)?;
        let config = Config {
            image: base.id,
            image_name: base.name.to_owned(),
            created: Timestamp::now(),
            argv: command::argv(base.config, settings)?,
            settings: settings.clone(),
        };
        if let Some(name) = &settings.name {
            names::check("container", name)?;
        }
        let random = random()?;
        let id = ContainerId::of(random.first_chunk().expect("34 bytes are more than 32"));
        let folder = Folder::publish(store, filled(store, &config, &layers)?, &id)?;
        let made = lowers(store, &folder, &layers).and_then(|lowers| {
            let volumes = Volumes { store, folder: folder.path(), layers: &layers, lowers: &lowers };
            let volumes = volumes.prepare(volumes::wanted(base.config, settings))?;
            let host = Host::read(settings.network);
            let rootfs = rootfs(&folder, lowers);
            let spec = spec(Facts { id: &id, image: base.config, settings, host: &host, rootfs, volumes })?;
            // The last that can fail: a name is given only to a container that will be.
            Ok((name_it(store, &id, settings, [random[32], random[33]])?, spec))
        });
        match made {
            Ok((name, spec)) => {
                Ok(Self { store: store.clone(), id, name, folder, spec, settings: settings.clone() })
            }
            Err(error) => {
                // What went wrong is what matters.
                let _ = folder.remove(store);
                Err(error)
            }
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the program in the foreground, as [`run`] does.
    ///
    /// # Errors
    /// As [`run`].
    pub fn attach(self) -> Result<i32, ContainerError> {
        let signals = attach::Signals::block()?;
        let result = self.live(&signals);
        let removed = if self.settings.remove { self.remove() } else { Ok(()) };
        // Only now: a signal in between would have ended us with the container half removed.
        drop(signals);
        let code = result?;
        removed.map(|()| code)
    }

    fn live(&self, signals: &attach::Signals) -> Result<i32, ContainerError> {
        let foreground = match attach::Foreground::start(&self.spec, &self.settings) {
            Ok(foreground) => foreground,
            Err(error) => {
                if !self.settings.remove {
                    self.folder.set_state(&State::Created { error: Some(error.to_string()) })?;
                }
                return Err(error);
            }
        };
        let started = Timestamp::now();
        self.folder.set_state(&State::Running { pid: foreground.pid(), started })?;
        let code = foreground.run(signals, || {
            // There is time now. What cannot be swept is for the next one.
            let _ = list::sweep(&self.store);
            let _ = self.store.sweep();
        })?;
        if !self.settings.remove {
            let finished = Some(Timestamp::now());
            self.folder.set_state(&State::Exited { code, started, finished })?;
        }
        Ok(code)
    }

    fn remove(self) -> Result<(), ContainerError> {
        names::release(&self.store, &self.name, &self.id)?;
        self.folder.remove(&self.store)
    }
}

fn layers(store: &Store, ids: &[LayerId]) -> Result<Vec<Layer>, ContainerError> {
    ids.iter().rev().map(|id| store.layer(*id)?.ok_or(ContainerError::MissingLayer(*id))).collect()
}

/// 32 bytes for an id and 2 for a name.
fn random() -> Result<[u8; 34], ContainerError> {
    let mut bytes = [0; 34];
    // Up to 256 bytes come whole.
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(ContainerError::io("read", "/dev/urandom"))?;
    Ok(bytes)
}

/// The folder with everything that it begins with, not yet in its place.
fn filled(store: &Store, config: &Config, layers: &[Layer]) -> Result<TempDir, ContainerError> {
    let (temp, owners) = (store.temp()?, store.flavour().owners());
    // The root of the file system is the upper folder's, as far as its attributes go.
    let (mode, owner) = match layers.first() {
        Some(top) => {
            let (path, folders) = (top.fs_path(), top.open_fs()?);
            let root = folders.top();
            let stat = rustix::fs::fstat(root).map_err(ContainerError::io("stat", &path))?;
            let owner = owners.owner(root.as_fd()).map_err(ContainerError::io("stat", path))?;
            (stat.st_mode & 0o7777, owner)
        }
        None => (0o755, Owner::ROOT),
    };
    let upper = temp.make_dir("upper", mode)?;
    if owner != Owner::ROOT {
        owners
            .give(upper.as_fd(), owner)
            .map_err(ContainerError::io("set the owner of", temp.path().join("upper")))?;
    }
    let folder = |name: &str| {
        rustix::fs::mkdirat(temp.dir(), name, Mode::RWXU)
            .map_err(ContainerError::io("make the folder", temp.path().join(name)))
    };
    folder("work")?;
    if layers.is_empty() {
        folder("empty")?;
    }
    let dir = rustix::io::fcntl_dupfd_cloexec(temp.dir().as_fd(), 0)
        .map_err(ContainerError::io("keep open", temp.path()))?;
    let json = serde_json::to_vec(config).expect("strings and numbers can be written");
    folder::write(&dir, folder::CONFIG, &json)
        .map_err(ContainerError::io("write", temp.path().join(folder::CONFIG)))?;
    if !config.settings.remove {
        // One that goes with this process is covered by this process's lease.
        let lines: String = layers.iter().map(|layer| format!("{}\n", layer.id())).collect();
        folder::write(&dir, folder::LAYERS, lines.as_bytes())
            .map_err(ContainerError::io("write", temp.path().join(folder::LAYERS)))?;
    }
    Ok(temp)
}

/// The folders of the overlay, the uppermost first.
fn lowers(store: &Store, folder: &Folder, layers: &[Layer]) -> Result<Vec<PathBuf>, ContainerError> {
    let upwards: Vec<Layer> = layers.iter().rev().cloned().collect();
    let mut lowers = store.stack(&upwards)?;
    if lowers.is_empty() {
        lowers.push(folder.path().join("empty"));
    }
    Ok(lowers)
}

fn rootfs(folder: &Folder, lowers: Vec<PathBuf>) -> Rootfs {
    Rootfs::Overlay { lowers, upper: folder.path().join("upper"), work: folder.path().join("work") }
}

fn name_it(
    store: &Store,
    id: &ContainerId,
    settings: &RunSettings,
    random: [u8; 2],
) -> Result<String, ContainerError> {
    let mut attempt = 0;
    loop {
        let name = settings.name.clone().unwrap_or_else(|| names::generate(random, attempt));
        let Some(owner) = names::claim(store, &name, id)? else { return Ok(name) };
        // One that a killed rbuild left behind gives its name back.
        if settings.name.is_some() && !list::sweep_one(store, &owner)? {
            return Err(ContainerError::NameTaken { name, id: owner });
        }
        attempt += 1;
    }
}
