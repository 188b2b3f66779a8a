//! Debian's registry, on a free port of loopback.

use std::fs::{self, File};
use std::io::{Read, Write};
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

    /// The bytes of a manifest or index.
    pub(crate) fn manifest(&self, repository: &str, reference: &str) -> Vec<u8> {
        let kinds = ["oci.image.manifest.v1", "oci.image.index.v1", "docker.distribution.manifest.v2"];
        let accept = kinds.map(|kind| format!("application/vnd.{kind}+json")).join(", ");
        let head = format!("GET /v2/{repository}/manifests/{reference} HTTP/1.0\r\nAccept: {accept}\r\n\r\n");
        self.ask(head.as_bytes(), 200)
    }

    /// Puts bytes there that rbuild would not write.
    pub(crate) fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        let head = format!(
            "PUT /v2/{repository}/manifests/{tag} HTTP/1.0\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        self.ask(&[head.as_bytes(), bytes].concat(), 201);
    }

    fn ask(&self, request: &[u8], expected: u16) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).expect("the registry is there");
        stream.write_all(request).expect("the request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("headers") + 4;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.starts_with(&format!("HTTP/1.0 {expected} ")), "{}", String::from_utf8_lossy(&answer));
        answer.split_off(end)
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
