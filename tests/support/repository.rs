//! A git repository behind a `git daemon` on loopback.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Time of its second commit.
pub(crate) const TIME: i64 = 1_000_000_000;

/// Two commits, the tag `v1` on the first. In the first, `file` has "one", in the second "two"; both have
/// `sub/inner` and a Dockerfile that copies everything.
pub(crate) struct Repository {
    daemon: Child,
    address: String,
    _folder: TempDir,
}

impl Repository {
    /// Makes it; None, said aloud, where the machine has no git.
    pub(crate) fn start() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            eprintln!("SKIP git is not installed");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("repository-").tempdir().expect("a folder");
        let work = folder.path().join("x.git");
        std::fs::create_dir_all(work.join("sub")).expect("folders");
        git(&work, &["init", "-q"]);
        std::fs::write(work.join("Dockerfile"), "FROM scratch\nCOPY . /all/\n").expect("a file");
        std::fs::write(work.join("sub/Dockerfile"), "FROM scratch\nCOPY . /sub/\n").expect("a file");
        std::fs::write(work.join("sub/inner"), "inner\n").expect("a file");
        std::fs::write(work.join("file"), "one\n").expect("a file");
        git(&work, &["add", "."]);
        git(&work, &["commit", "-q", "-m", "first"]);
        git(&work, &["tag", "v1"]);
        std::fs::write(work.join("file"), "two\n").expect("a file");
        git(&work, &["commit", "-q", "-a", "-m", "second"]);

        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let daemon = Command::new("git")
            .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", folder.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("git daemon starts");
        let repository = Self { daemon, address: format!("127.0.0.1:{port}"), _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(&repository.address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "git daemon does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(repository)
    }

    /// Its address, with something behind it.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("git://{}/x.git{rest}", self.address)
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // The program `git` waits for the daemon; asked to end, it ends it.
        let asked = Command::new("kill").arg(self.daemon.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.daemon.kill();
        }
        let _ = self.daemon.wait();
    }
}

fn git(dir: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    for setting in ["user.name=a", "user.email=a@b", "init.defaultBranch=main", "commit.gpgSign=false"] {
        command.args(["-c", setting]);
    }
    let date = format!("{TIME} +0000");
    command.args(args).current_dir(dir).env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date);
    let output = command.output().expect("git starts");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
