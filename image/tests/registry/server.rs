//! An HTTP server whose answers a test decides.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_blob(&self) -> bool {
        // A bucket's colons are escaped.
        self.method == "GET"
            && ["/blobs/sha256:", "/blobs/sha256%3A"].iter().any(|it| self.target.contains(it))
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// The body has no end.
    pub(crate) endless: bool,
    /// The body comes in ten pieces, with so long a pause after each.
    pub(crate) pause: Duration,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without_length(mut self) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case("content-length"));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// Stops when dropped.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

pub(crate) fn serve(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let handler: Arc<Handler> = Arc::new(handler);
    let (stopped, log) = (Arc::clone(&stop), Arc::clone(&seen));
    thread::spawn(move || {
        for stream in listener.incoming() {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            let (handler, log) = (Arc::clone(&handler), Arc::clone(&log));
            // A client that goes away in the middle is what half of the tests are about.
            thread::spawn(move || drop(stream.and_then(|stream| answer(stream, &*handler, &log))));
        }
    });
    Server { address, seen, stop }
}

/// A proxy before the registry at `upstream`: `rule` may answer in its place, or change what it says.
pub(crate) fn proxy(
    upstream: &str,
    rule: impl Fn(&Request, &dyn Fn() -> Reply) -> Reply + Send + Sync + 'static,
) -> Server {
    let upstream = upstream.to_owned();
    serve(move |request| rule(request, &|| forward(&upstream, request)))
}

impl Server {
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
    }
}

fn answer(stream: TcpStream, handler: &Handler, log: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let first = reader.fill_buf()?.first().copied().unwrap_or(0);
    if !first.is_ascii_uppercase() {
        // Somebody tries TLS.
        return Ok(());
    }
    let request = read_request(&mut reader)?;
    log.lock().unwrap().push(request.clone());
    let reply = handler(&request);
    let mut out = stream;
    write!(out, "HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status)?;
    let has_length = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    for (name, value) in &reply.headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    if !has_length && !reply.endless {
        write!(out, "Content-Length: {}\r\n", reply.body.len())?;
    }
    write!(out, "\r\n")?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let end = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
    if reply.pause.is_zero() {
        out.write_all(&reply.body[..end])?;
    } else {
        for piece in reply.body[..end].chunks((end / 10).max(1)) {
            out.write_all(piece)?;
            thread::sleep(reply.pause);
        }
    }
    if reply.endless {
        // Until the client has had enough.
        loop {
            out.write_all(&[0x1f; 65536])?;
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_ascii_whitespace();
    let (method, target) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let headers = read_headers(reader)?;
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(request)
}

fn read_headers(reader: &mut impl BufRead) -> std::io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok(headers),
        }
    }
}

pub(crate) fn forward(upstream: &str, request: &Request) -> Reply {
    let mut stream = TcpStream::connect(upstream).unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        if !name.eq_ignore_ascii_case("connection") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&request.body).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    let mut headers = read_headers(&mut reader).unwrap();
    let chunked = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
    let mut body = Vec::new();
    if request.method != "HEAD" {
        if chunked {
            read_chunks(&mut reader, &mut body);
        } else {
            reader.read_to_end(&mut body).unwrap();
        }
    }
    headers.retain(|(name, _)| {
        !["transfer-encoding", "connection"].contains(&name.to_ascii_lowercase().as_str())
    });
    Reply { headers, body, ..Reply::status(status) }
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..]).unwrap();
        reader.read_line(&mut String::new()).unwrap();
        if length == 0 {
            return;
        }
    }
}
