//! A rootfs, and running programs in it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rbuild_runtime::sandbox::{
    self, Exit, Init, Io, Mount, MountSource, Network, Privilege, SpawnError, Spec, Standby, Stdio,
};
use tempfile::TempDir;

/// Folders of the base image's layers, uppermost first.
pub(crate) struct Base {
    _folder: TempDir,
    layers: Vec<PathBuf>,
}

/// Unpacks the image; None when there is none.
pub(crate) fn base() -> Option<Base> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let candidates = [
        manifest.join("../fixtures/images/busybox.tar"),
        manifest.join("../conformance/base/busybox.tar"),
        std::env::var_os("RBUILD_TEST_BUSYBOX").map(PathBuf::from).unwrap_or_default(),
    ];
    let image = candidates.iter().find(|path| path.is_file())?;
    let folder = tempfile::tempdir().unwrap();
    tar::Archive::new(File::open(image).unwrap()).unpack(folder.path()).unwrap();
    let manifest = std::fs::read(folder.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let mut layers = Vec::new();
    for (index, name) in manifest[0]["Layers"].as_array().unwrap().iter().enumerate() {
        let layer = folder.path().join(format!("layer{index}"));
        let mut archive = tar::Archive::new(File::open(folder.path().join(name.as_str().unwrap())).unwrap());
        archive.set_preserve_permissions(true);
        archive.set_preserve_ownerships(rbuild_runtime::rootless::probe().maps_many_ids());
        archive.unpack(&layer).unwrap();
        layers.push(layer);
    }
    layers.reverse();
    Some(Base { _folder: folder, layers })
}

/// A fresh upper folder on the base image.
pub(crate) struct Rootfs {
    folder: TempDir,
    layers: Vec<PathBuf>,
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) output: String,
}

impl Rootfs {
    pub(crate) fn new(base: &Base) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("upper")).unwrap();
        let rootfs = Self { folder, layers: base.layers.clone() };
        rootfs.fresh_work();
        rootfs
    }

    /// A volatile overlay's work folder serves once.
    fn fresh_work(&self) {
        let work = self.folder.path().join("work");
        let _ = std::fs::remove_dir_all(&work);
        std::fs::create_dir(work).unwrap();
    }

    pub(crate) fn upper(&self, path: &str) -> PathBuf {
        self.folder.path().join("upper").join(path)
    }

    /// A folder beside the rootfs.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn spec(&self, argv: &[&str]) -> Spec {
        Spec {
            argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            workdir: "/".to_owned(),
            user: String::new(),
            extra_groups: Vec::new(),
            hostname: "buildkitsandbox".to_owned(),
            rootfs: sandbox::Rootfs::Overlay {
                lowers: self.layers.clone(),
                upper: self.folder.path().join("upper"),
                work: self.folder.path().join("work"),
            },
            mounts: vec![
                file("/etc/hosts", b"127.0.0.1\tlocalhost buildkitsandbox\n"),
                file("/etc/resolv.conf", b"nameserver 192.0.2.1\n"),
            ],
            network: Network::Host,
            privilege: Privilege::Default { add: Vec::new(), drop: Vec::new(), no_new_privileges: false },
            init: Init::Reaper,
            terminal: None,
            readonly_rootfs: false,
            shm_size: 64 << 20,
            ulimits: Vec::new(),
        }
    }

    pub(crate) fn shell(&self, script: &str) -> Spec {
        self.spec(&["sh", "-c", script])
    }

    /// Runs it, standard output and error together in one pipe.
    pub(crate) fn run(&self, spec: &Spec) -> Result<Outcome, SpawnError> {
        self.run_in(None, spec)
    }

    /// The same in a sandbox that waits for a program, if there is one.
    pub(crate) fn run_in(&self, standby: Option<Standby>, spec: &Spec) -> Result<Outcome, SpawnError> {
        self.fresh_work();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let stdio = Stdio {
            stdin: Io::Null,
            stdout: Io::Fd(writer.try_clone().unwrap().into()),
            stderr: Io::Fd(writer.into()),
        };
        let mut child = sandbox::spawn_in(standby, spec, stdio)?;
        let mut output = Vec::new();
        reader.read_to_end(&mut output).unwrap();
        let exit = child.wait().unwrap();
        Ok(Outcome { exit, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// The output of a script that has to succeed.
    pub(crate) fn output_of(&self, spec: &Spec) -> String {
        let outcome = self.run(spec).unwrap_or_else(|error| panic!("{error}"));
        assert!(outcome.exit.success(), "{outcome:?}");
        outcome.output
    }
}

pub(crate) fn file(target: &str, data: &[u8]) -> Mount {
    Mount {
        target: target.to_owned(),
        source: MountSource::File { data: data.to_vec(), mode: 0o644, uid: 0, gid: 0 },
        readonly: true,
        remove_stub: true,
    }
}

pub(crate) fn mount(target: &str, source: MountSource, readonly: bool) -> Mount {
    Mount { target: target.to_owned(), source, readonly, remove_stub: true }
}

/// Prints the time of starts and of whole lives of `/bin/true`.
pub(crate) fn measure(base: &Base, count: usize) {
    for (name, init, network) in [
        ("reaper, host network", Init::Reaper, Network::Host),
        ("program, host network", Init::Program, Network::Host),
        ("reaper, no network", Init::Reaper, Network::None),
    ] {
        let mut starts: Vec<(Duration, Duration)> = (0..count)
            .map(|_| {
                let rootfs = Rootfs::new(base);
                let spec = Spec { init, network, ..rootfs.spec(&["/bin/true"]) };
                let begin = Instant::now();
                let mut child = sandbox::spawn(&spec, Stdio::inherit()).unwrap();
                let started = begin.elapsed();
                child.wait().unwrap();
                (started, begin.elapsed())
            })
            .collect();
        starts.sort();
        let (median, least) = (starts[count / 2], starts[0]);
        println!("{name}: start {:?} (least {:?}), whole life {:?}", median.0, least.0, median.1);
    }
}
