//! One download.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rbuild_image::digest::{Digest, Hasher};
use rustix::fs::{Mode, OFlags, openat};

use super::date;
use crate::context::FileTime;
use crate::copy::{CopyError, Fetch, Fetched};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const BUFFER_SIZE: usize = 128 * 1024;

/// Downloads over HTTP and HTTPS.
#[derive(Debug)]
pub struct Http {
    into: OwnedFd,
}

impl Http {
    /// Keeps what it downloads on the file system of a directory, without a name.
    #[must_use]
    pub fn new(into: OwnedFd) -> Self {
        Self { into }
    }

    fn download(&self, url: &str) -> Result<Download, CopyError> {
        let failed = |cause: &dyn std::fmt::Display| {
            CopyError::Download(format!("failed to load cache key: failed to fetch {url}: {cause}"))
        };
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            // A server that compresses on the way would change the bytes that a checksum is about.
            .accept_encoding("identity")
            .build();
        let mut response =
            ureq::Agent::new_with_config(config).get(url).call().map_err(|cause| failed(&cause))?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            return Err(CopyError::Download(format!(
                "failed to load cache key: invalid response status {status}"
            )));
        }
        let modified = response.headers().get("last-modified");
        let modified = modified.and_then(|value| value.to_str().ok()).and_then(date::parse);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = openat(&self.into, ".", flags, Mode::from_raw_mode(0o600));
        let file: File = file.map_err(|cause| failed(&io::Error::from(cause)))?.into();
        let body = response.body_mut().as_reader();
        let (size, digest, content) = save(body, &file).map_err(|cause| failed(&cause))?;
        let mtime = FileTime { secs: modified.unwrap_or(0), nanos: 0 };
        let name = name_of(url).into_bytes();
        let fetched = Fetched { file: Arc::new(file), size, name, mtime, content };
        Ok(Download { fetched, digest })
    }
}

struct Download {
    fetched: Fetched,
    digest: Digest,
}

impl Fetch for Http {
    fn fetch(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, CopyError> {
        let wanted = checksum.map(check_checksum).transpose()?;
        let Download { fetched, digest } = self.download(url)?;
        match wanted {
            Some(wanted) if wanted != digest.to_string() => {
                Err(CopyError::Download(format!("digest mismatch {digest}: {wanted}")))
            }
            _ => Ok(fetched),
        }
    }
}

fn check_checksum(text: &str) -> Result<String, CopyError> {
    let malformed = |text: &str| Err(CopyError::Download(text.to_owned()));
    let Some((algorithm, hex)) = text.split_once(':') else {
        return malformed("invalid checksum digest format");
    };
    if algorithm != "sha256" {
        return malformed("unsupported digest algorithm");
    }
    if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return malformed("invalid checksum digest format");
    }
    Ok(text.to_owned())
}

/// Last element of the URL's path.
fn name_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    match path.rsplit('/').next() {
        None | Some("" | "." | "..") => "__unnamed__".to_owned(),
        Some(name) => unescape(name),
    }
}

/// `%41` as `A`, where the result can be a file name.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(decoded) if decoded != b'/' && decoded != 0 => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if text != "." && text != ".." => text,
        _ => name.to_owned(),
    }
}

fn save(mut body: impl Read, mut file: &File) -> io::Result<(u64, Digest, [u8; 32])> {
    let (mut sha256, mut blake3) = (Hasher::new(), blake3::Hasher::new());
    let mut buffer = vec![0; BUFFER_SIZE];
    let mut size = 0;
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause),
        };
        sha256.update(&buffer[..count]);
        blake3.update(&buffer[..count]);
        file.write_all(&buffer[..count])?;
        size += count as u64;
    }
    Ok((size, sha256.finish(), *blake3.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn names() {
        for (url, want) in [
            ("http://h/foo", "foo"),
            ("http://h/a/foo.tar.gz?x=1/2#y", "foo.tar.gz"),
            ("http://h/", "__unnamed__"),
            ("http://h", "__unnamed__"),
            ("http://h/a%20b", "a b"),
            ("http://h/a%2fb", "a%2fb"),
            ("http://h/%2e%2e", "%2e%2e"),
        ] {
            assert_eq!(name_of(url), want, "{url}");
        }
    }

    #[test]
    fn checksums() {
        let text = |checksum| check_checksum(checksum).unwrap_err().to_string();
        assert_eq!(text("abc"), "invalid checksum digest format");
        assert_eq!(text("sha256:12"), "invalid checksum digest format");
        assert_eq!(text("md5:12"), "unsupported digest algorithm");
    }

    /// Answers one request, and gives the address to ask.
    fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        format!("http://{address}/dir/file.txt")
    }

    #[test]
    fn downloads_and_checks() {
        const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
            Last-Modified: Mon, 02 Jan 2006 22:04:05 GMT\r\nConnection: close\r\n\r\nf\n";
        let dir = tempfile::tempdir().unwrap();
        let http = Http::new(File::open(dir.path()).unwrap().into());
        let right = "sha256:092fcfbbcfca3b5be7ae1b5e58538e92c35ab273ae13664fed0d67484c8e78a6";
        let fetched = http.fetch(&serve(ANSWER), Some(right)).unwrap();
        assert_eq!((fetched.size, fetched.name.as_slice()), (2, b"file.txt".as_slice()));
        assert_eq!(fetched.mtime.secs, 1_136_239_445);
        let wrong = format!("sha256:{}", "0".repeat(64));
        let error = http.fetch(&serve(ANSWER), Some(&wrong)).unwrap_err();
        assert_eq!(error.to_string(), format!("digest mismatch {right}: {wrong}"));
        let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let error = http.fetch(&serve(missing), None).unwrap_err();
        assert!(error.to_string().ends_with("invalid response status 404"));
    }
}
