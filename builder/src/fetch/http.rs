//! Downloads, remembered.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rbuild_image::digest::{Digest, Hasher};
use rbuild_image::http_date;
use rbuild_image::registry::Proxies;
use rbuild_image::store::Store;

use super::address::file_name;
use super::checksum::Checksum;
use super::memory::{Memory, Slot};
use crate::cancel::Cancel;
use crate::context::FileTime;
use crate::copy::{CopyError, Fetched};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Until the answer begins; how long its body may take nobody can know.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const BUFFER_SIZE: usize = 128 * 1024;

/// Downloads over HTTP and HTTPS, and remembers what it got: a resource that the server says is unchanged (by
/// `ETag` or `Last-Modified`) does not come twice, and one whose checksum is given and known is not asked for.
///
/// A server that fails is an error, remembered body or not: what it would say now is not known.
#[derive(Debug)]
pub struct Http {
    store: Store,
    proxies: Proxies,
    cancel: Cancel,
}

impl Http {
    /// Keeps downloads in a store. What goes on ends with `cancel`.
    #[must_use]
    pub fn new(store: Store, proxies: Proxies, cancel: Cancel) -> Self {
        Self { store, proxies, cancel }
    }

    /// Downloads `url`, and refuses it if it does not have the `checksum` (`sha256:HEX`, or sha384, sha512).
    ///
    /// # Errors
    /// In BuildKit's words: a malformed checksum, a status that is no success, another digest.
    pub fn get(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, CopyError> {
        self.download(url, checksum).map(|(fetched, _)| fetched)
    }

    /// What an earlier download of `url` brought, if it has this digest (`sha256:HEX`). Nobody is asked.
    pub(super) fn known(&self, url: &str, digest: &str) -> Option<Fetched> {
        let known = Slot::new(&self.store, url).load()?;
        (known.0.digest == digest).then(|| fetched(known))
    }

    /// As [`Self::get`], with the digest by SHA-256.
    pub(super) fn download(&self, url: &str, checksum: Option<&str>) -> Result<(Fetched, String), CopyError> {
        let Some(wanted) = checksum.map(Checksum::parse).transpose()? else {
            let slot = Slot::new(&self.store, url);
            return self.ask(url, &slot, slot.load()).map(with_digest);
        };
        let slot = Slot::new(&self.store, url);
        let known = slot.load();
        if let Some((memory, file)) = &known
            && wanted.of(memory, file)? == wanted
        {
            return Ok(known.map(with_digest).expect("it was looked at just now"));
        }
        let (memory, file) = self.ask(url, &slot, known)?;
        let got = wanted.of(&memory, &file)?;
        if got != wanted {
            return Err(CopyError::Download(format!("digest mismatch {got}: {wanted}")));
        }
        Ok(with_digest((memory, file)))
    }

    fn ask(
        &self,
        url: &str,
        slot: &Slot,
        known: Option<(Memory, File)>,
    ) -> Result<(Memory, File), CopyError> {
        let failed = |cause: &dyn std::fmt::Display| {
            CopyError::Download(format!("failed to load cache key: failed to fetch {url}: {cause}"))
        };
        let agent = self.agent(url).map_err(|cause| failed(&cause))?;
        let connections = agent.clone();
        let _guard = self.cancel.on_cancel(move || connections.clone().shutdown());
        let mut request = agent.get(url);
        if let Some((memory, _)) = &known {
            if let Some(etag) = &memory.etag {
                request = request.header("If-None-Match", etag);
            }
            if let Some(modified) = &memory.last_modified {
                request = request.header("If-Modified-Since", modified);
            }
        }
        let mut response = request.call().map_err(|cause| failed(&cause))?;
        let status = response.status().as_u16();
        if let (304, Some(known)) = (status, known) {
            return Ok(known);
        }
        if !response.status().is_success() {
            return Err(CopyError::Download(format!(
                "failed to load cache key: invalid response status {status}"
            )));
        }
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (etag, last_modified) = (header("etag"), header("last-modified"));
        let temp = self.store.temp().map_err(|cause| failed(&cause))?;
        let path = temp.path().join("body");
        let file = File::create_new(&path).map_err(|cause| failed(&cause))?;
        let body = response.body_mut().as_reader();
        let (size, digest, content) = save(body, &file).map_err(|cause| failed(&cause))?;
        let file = File::open(&path).map_err(|cause| failed(&cause))?;
        let memory =
            Memory { url: url.to_owned(), etag, last_modified, size, digest: digest.to_string(), content };
        slot.keep(&temp, &memory).map_err(|cause| failed(&cause))?;
        Ok((memory, file))
    }

    fn agent(&self, url: &str) -> Result<ureq::Agent, ureq::Error> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        // Named here, so that the library does not look into the environment.
        let proxy = self.proxies.of(scheme == "https", host).map(ureq::Proxy::new).transpose()?;
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            .proxy(proxy)
            // A server that compresses on the way would change the bytes that a checksum is about.
            .accept_encoding("identity")
            .build();
        Ok(ureq::Agent::new_with_config(config))
    }
}

fn with_digest((memory, file): (Memory, File)) -> (Fetched, String) {
    let digest = memory.digest.clone();
    (fetched((memory, file)), digest)
}

fn fetched((memory, file): (Memory, File)) -> Fetched {
    let modified = memory.last_modified.as_deref().and_then(http_date::parse);
    Fetched {
        file: Arc::new(file),
        size: memory.size,
        name: file_name(&memory.url).into_bytes(),
        mtime: FileTime { secs: modified.unwrap_or(0), nanos: 0 },
        content: memory.content,
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
    use std::io::{Seek, SeekFrom};
    use std::net::TcpListener;

    use rbuild_image::layer::Flavour;

    use super::*;

    const RIGHT: &str = "sha256:092fcfbbcfca3b5be7ae1b5e58538e92c35ab273ae13664fed0d67484c8e78a6";

    const RIGHT_384: &str = "sha384:7bf79990ef7936039a95bb9923b8cd77bbc5508af03e0d05134f87b7d647325601fcf8a373ceb533053f29c9ea9247b0";

    /// Answers one request after the other, and gives the address to ask and what was asked.
    fn serve(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = std::thread::spawn(move || {
            let answer = |answer: &&str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..length]).to_lowercase()
            };
            answers.iter().map(answer).collect()
        });
        (format!("http://{address}/dir/file.txt"), asked)
    }

    fn http(dir: &tempfile::TempDir) -> Http {
        Http::new(Store::open(dir.path(), Flavour::User).unwrap(), Proxies::default(), Cancel::new())
    }

    fn text(mut file: &File) -> String {
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn downloads_and_checks() {
        const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
            Last-Modified: Mon, 02 Jan 2006 22:04:05 GMT\r\nConnection: close\r\n\r\nf\n";
        let dir = tempfile::tempdir().unwrap();
        let (url, server) = serve(&[ANSWER, ANSWER]);
        let fetched = http(&dir).get(&url, Some(RIGHT)).unwrap();
        assert_eq!((fetched.size, fetched.name.as_slice()), (2, b"file.txt".as_slice()));
        assert_eq!((fetched.mtime.secs, text(&fetched.file)), (1_136_239_445, "f\n".to_owned()));
        // Known: nobody is asked.
        http(&dir).get(&url, Some(RIGHT)).unwrap();
        let wrong = format!("sha256:{}", "0".repeat(64));
        let error = http(&dir).get(&url, Some(&wrong)).unwrap_err();
        assert_eq!(error.to_string(), format!("digest mismatch {RIGHT}: {wrong}"));
        // By another algorithm, the same body is known as well.
        http(&dir).get(&url, Some(RIGHT_384)).unwrap();
        assert_eq!(server.join().unwrap().len(), 2);
    }

    #[test]
    fn what_did_not_change_does_not_come_again() {
        const FIRST: &str =
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"a\"\r\nConnection: close\r\n\r\nf\n";
        const SAME: &str = "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n";
        const OTHER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\ngg\n";
        const FAILURE: &str =
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let dir = tempfile::tempdir().unwrap();
        let (url, server) = serve(&[FIRST, SAME, OTHER, FAILURE]);
        let got: Vec<String> = (0..3).map(|_| text(&http(&dir).get(&url, None).unwrap().file)).collect();
        assert_eq!(got, ["f\n", "f\n", "gg\n"]);
        let error = http(&dir).get(&url, None).unwrap_err().to_string();
        assert!(error.ends_with("invalid response status 500"), "{error}");
        let asked = server.join().unwrap();
        assert!(!asked[0].contains("if-none-match"));
        assert!(asked[1].contains("if-none-match: \"a\"") && asked[2].contains("if-none-match: \"a\""));
        assert!(!asked[3].contains("if-none-match"));
    }
}
