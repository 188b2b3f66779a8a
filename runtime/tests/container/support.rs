//! A store with an image, and containers of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use rbuild_image::config::ContainerConfig;
use rbuild_image::digest::{Digest, ImageId, LayerId};
use rbuild_image::layer::{Flavour, OwnTimes};
use rbuild_image::store::Store;
use rbuild_runtime::container::{self, Base, RunSettings};
use rbuild_runtime::rootless;
use tempfile::TempDir;

/// A store in a temporary folder.
pub(crate) struct Ground {
    folder: TempDir,
    pub(crate) store: Store,
    pub(crate) layers: Vec<LayerId>,
}

fn flavour() -> Flavour {
    if rootless::in_user_namespace() { Flavour::User } else { Flavour::Trusted }
}

/// What `run` in this program does: a container in the foreground, its failure on standard error.
pub(crate) fn run(root: &str, settings: &str, config: &str) -> ExitCode {
    let store = Store::open(Path::new(root), flavour()).unwrap();
    let layers = store.layer_ids().unwrap();
    let config: ContainerConfig = serde_json::from_str(config).unwrap();
    let base = Base { id: ImageId(Digest::of(b"image")), name: "busybox", config: &config, layers: &layers };
    let settings: RunSettings = serde_json::from_str(settings).unwrap();
    let code = container::run(&store, &base, &settings).unwrap_or_else(|error| {
        eprintln!("{error}");
        error.exit_code()
    });
    ExitCode::from(u8::try_from(code).unwrap())
}

/// Prints the time of whole lives: process, store, container, `true`, removal.
pub(crate) fn measure(count: usize) -> ExitCode {
    let ground = Ground::new().unwrap();
    let settings = RunSettings { command: vec!["true".to_owned()], remove: true, ..RunSettings::default() };
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let begin = Instant::now();
            assert!(ground.run(&settings).status.success());
            begin.elapsed()
        })
        .collect();
    times.sort();
    println!("median {:?}, least {:?}", times[count / 2], times[0]);
    ExitCode::SUCCESS
}

impl Ground {
    /// None when there is no image.
    pub(crate) fn new() -> Option<Self> {
        let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/images/busybox.tar");
        if !image.is_file() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), flavour()).unwrap();
        let unpacked = folder.path().join("image");
        tar::Archive::new(File::open(image).unwrap()).unpack(&unpacked).unwrap();
        let manifest = std::fs::read(unpacked.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let temp = store.temp().unwrap();
        temp.make_dir("fs", 0o755).unwrap();
        // One on top of the other: the image removes nothing.
        for name in manifest[0]["Layers"].as_array().unwrap() {
            let mut archive = tar::Archive::new(File::open(unpacked.join(name.as_str().unwrap())).unwrap());
            archive.set_preserve_permissions(true);
            archive.set_preserve_ownerships(rootless::probe().maps_many_ids());
            archive.unpack(temp.path().join("fs")).unwrap();
        }
        std::fs::create_dir(temp.path().join("fs/content")).unwrap();
        std::fs::write(temp.path().join("fs/content/file"), "of the image").unwrap();
        let layer = store.publish_layer(temp, OwnTimes::KeepAll).unwrap();
        Some(Self { folder, store, layers: vec![layer.id()] })
    }

    /// A path beside the store.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `run` in a process of its own.
    pub(crate) fn command(&self, settings: &RunSettings, config: &ContainerConfig) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("run").arg(self.folder.path().join("store"));
        command.arg(serde_json::to_string(settings).unwrap()).arg(serde_json::to_string(config).unwrap());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, settings: &RunSettings) -> Output {
        self.command(settings, &image()).output().unwrap()
    }

    /// What a script prints that has to succeed.
    pub(crate) fn output_of(&self, settings: &RunSettings) -> String {
        let output = self.run(settings);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Nothing of any container is left, on the disk or mounted.
    pub(crate) fn assert_clean(&self) {
        for folder in ["containers", "container-names", "tmp"] {
            let left: Vec<_> = std::fs::read_dir(self.store.path().join(folder))
                .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
                .unwrap_or_default();
            assert!(left.is_empty(), "{folder}: {left:?}");
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.folder.path().to_str().unwrap()), "{mounts}");
    }
}

/// Busybox as its image says.
pub(crate) fn image() -> ContainerConfig {
    ContainerConfig {
        cmd: vec!["sh".to_owned()],
        env: vec!["PATH=/usr/bin:/bin".to_owned()],
        ..ContainerConfig::default()
    }
}

/// `--rm … sh -c SCRIPT`.
pub(crate) fn script(script: &str) -> RunSettings {
    RunSettings {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        remove: true,
        ..RunSettings::default()
    }
}
