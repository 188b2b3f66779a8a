//! Debian's registry, on a free port of loopback.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// `user` with the password `secret`, as htpasswd writes it (bcrypt, cost 5).
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A running registry; it ends with this value.
pub(crate) struct Registry {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    _folder: TempDir,
}

impl Registry {
    /// Starts one with more of a configuration; None, said aloud, where the machine has none.
    pub(crate) fn start(more: Option<&str>) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        drop(listener);
        let folder = tempfile::Builder::new().prefix("registry-").tempdir().expect("a folder");
        let root = folder.path().display();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
             rootdirectory: {root}/data\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n{}",
            more.unwrap_or_default()
        );
        let file = folder.path().join("config.yml");
        fs::write(&file, config).expect("the configuration");
        let log = File::create(folder.path().join("log")).expect("the log");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let Ok(child) = command.spawn() else {
            eprintln!("SKIP docker-registry is not installed");
            return None;
        };
        let registry = Self { child, address, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }
}

/// The part of a configuration that asks for a login.
pub(crate) fn htpasswd(folder: &Path) -> String {
    let file = folder.join("htpasswd");
    fs::write(&file, HTPASSWD).expect("the passwords");
    format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself, and then the test has failed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
