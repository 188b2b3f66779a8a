//! A server that speaks S3's protocol: moto's, of PyPI, on a free port of loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server with an empty bucket `cache`; it ends with this value.
pub(crate) struct Bucket {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Bucket {
    /// Starts one; None, said aloud, where the machine has none.
    pub(crate) fn start() -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("SKIP moto_server is not installed (pip install 'moto[server]')");
            return None;
        };
        let bucket = Self { child, address: address.to_string() };
        let begun = Instant::now();
        while !bucket.request("PUT /cache") {
            assert!(begun.elapsed() < Duration::from_secs(30), "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(bucket)
    }

    /// Whether the answer is 200.
    fn request(&self, line: &str) -> bool {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return false };
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        let mut answer = Vec::new();
        stream.write_all(head.as_bytes()).is_ok()
            && stream.read_to_end(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It may have ended by itself, and then the test has failed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
