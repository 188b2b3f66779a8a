//! A place to run rbuild in: an empty store, an empty working folder, an environment that is always the same.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Outcome, leaks};

/// The base image of the tests.
pub(crate) const BUSYBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/images/busybox.tar");

/// A store and a working folder. When it goes, it checks that rbuild left nothing behind: no mount, no process,
/// no temporary file.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// With nothing in it.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("rbuild-test-").tempdir().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("work")).expect("the working folder");
        Self { dir }
    }

    /// With the image `busybox` in the store.
    pub(crate) fn with_busybox() -> Self {
        let sandbox = Self::new();
        sandbox.rbuild(&["load", "-i", BUSYBOX]).succeeded();
        sandbox
    }

    /// With containers and `busybox`; None, said aloud, where this machine allows no user namespaces.
    pub(crate) fn with_containers() -> Option<Self> {
        if containers_are_possible() {
            return Some(Self::with_busybox());
        }
        println!("SKIP neither root nor a user namespace: no containers on this machine");
        None
    }

    /// The working folder.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The home of who runs rbuild.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// The folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// A path in the working folder, as text.
    pub(crate) fn path(&self, name: &str) -> String {
        self.work().join(name).into_os_string().into_string().expect("the paths of the tests are text")
    }

    /// Writes a file into the working folder, with the folders that it needs.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// rbuild, with no standard input yet, in the working folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        // The binary that was built with the tests, unless another one is to be tested.
        let given =
            std::env::var_os("RBUILD").map(|path| std::path::absolute(path).expect("a folder to be in"));
        let binary = given.unwrap_or_else(|| env!("CARGO_BIN_EXE_rbuild").into());
        let mut command = Command::new(binary);
        command.args(args).current_dir(self.work()).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.dir.path()).env("RBUILD_ROOT", self.store()).env("COLUMNS", "100");
        command
    }

    /// Runs rbuild.
    pub(crate) fn rbuild(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command(args), args)
    }

    /// Runs rbuild with `input` on its standard input.
    pub(crate) fn rbuild_with_input(&self, args: &[&str], input: &[u8]) -> Outcome {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(input).and_then(|()| std::io::Seek::rewind(&mut file)).expect("the input");
        let mut command = self.command(args);
        command.stdin(file);
        Outcome::of(command, args)
    }

    /// Builds `dockerfile` with the working folder as context.
    pub(crate) fn build(&self, dockerfile: &str, args: &[&str]) -> Outcome {
        self.write("Dockerfile", dockerfile);
        self.rbuild(&[&["build"], args, &["."]].concat())
    }

    /// Every file of the store, without locks: to see that a failed command left the store as it was.
    pub(crate) fn store_listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.store(), Path::new(""), &mut found);
        // A build leaves word of itself however it ends, and failed steps to be looked at.
        found.retain(|path| !path.starts_with("v1/builds/") && !path.starts_with("v1/failed/"));
        found.sort();
        found
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A test that failed already has said what matters.
        if !std::thread::panicking() {
            leaks::check(self.dir.path(), &self.store());
        }
    }
}

fn list(dir: &Path, below: &Path, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = below.join(entry.file_name());
        let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
        if is_dir {
            list(&entry.path(), &name, found);
        } else if !name.to_string_lossy().contains("lock") {
            found.push(name.to_string_lossy().into_owned());
        }
    }
}

fn containers_are_possible() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    let namespaces =
        || Command::new("unshare").args(["-Ur", "true"]).output().is_ok_and(|o| o.status.success());
    root || namespaces()
}
