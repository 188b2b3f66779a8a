//! Debian's registry.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// `user` with the password `secret`, as htpasswd writes it (bcrypt, cost 5).
pub(crate) const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A running registry; it ends with this value.
pub(crate) struct Peer {
    child: Child,
    pub(crate) address: String,
    _folder: tempfile::TempDir,
}

/// A registry with more of a configuration, below `http` and beside it, or None and a word about it where the machine
/// has none.
pub(crate) fn start(http: &str, rest: &str) -> Option<Peer> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let config = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {root}/data\nhttp:\n  addr: 127.0.0.1:{port}\n{http}{rest}"
    );
    fs::write(folder.path().join("config.yml"), config).unwrap();
    let log = File::create(folder.path().join("log")).unwrap();
    let child = Command::new("docker-registry")
        .arg("serve")
        .arg(folder.path().join("config.yml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    let Ok(child) = child else {
        println!("SKIP docker-registry is not installed");
        return None;
    };
    let peer = Peer { child, address: format!("127.0.0.1:{port}"), _folder: folder };
    let begin = Instant::now();
    while TcpStream::connect(&peer.address).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(20), "the registry does not start: {}", log_of(&peer));
        thread::sleep(Duration::from_millis(20));
    }
    Some(peer)
}

fn log_of(peer: &Peer) -> String {
    fs::read_to_string(peer._folder.path().join("log")).unwrap_or_default()
}

/// The part of a configuration that asks for a login.
pub(crate) fn htpasswd(folder: &Path) -> String {
    let file = folder.join("htpasswd");
    fs::write(&file, HTPASSWD).unwrap();
    format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
