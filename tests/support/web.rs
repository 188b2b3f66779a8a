//! A web server that does what a test says, and remembers what it was asked.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Web {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<u16>>>,
    thread: Option<JoinHandle<()>>,
}

/// What a request gets.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// 0 means 200.
    pub(crate) status: u16,
    /// Lines.
    pub(crate) headers: Vec<String>,
    /// The content.
    pub(crate) body: Vec<u8>,
}

impl Web {
    /// Answers each request as `answer` says, by its path and headers.
    pub(crate) fn start(answer: impl Fn(&str, &str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A client that went away is no problem of the server's.
                let _ = client.and_then(|client| serve(&client, &answer, &seen));
            }
        });
        Self { address, stop, asked, thread: Some(thread) }
    }

    /// The same content for everybody, under every path.
    pub(crate) fn of(body: Vec<u8>) -> Self {
        Self::start(move |_, _| Answer { body: body.clone(), ..Answer::default() })
    }

    /// `http://127.0.0.1:PORT/PATH`
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The status of each answer since the last call.
    pub(crate) fn answers(&self) -> Vec<u16> {
        std::mem::take(&mut *self.asked.lock().expect("the server did not panic"))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread up.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not panic");
        }
    }
}

fn serve(
    mut client: &TcpStream,
    answer: &impl Fn(&str, &str) -> Answer,
    asked: &Mutex<Vec<u16>>,
) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = BufReader::new(client);
    let (mut first, mut headers) = (String::new(), String::new());
    request.read_line(&mut first)?;
    while request.read_line(&mut headers)? > 2 {}
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers = headers.to_lowercase();
    let Answer { status, headers: lines, body } = answer(&path, &headers);
    let status = if status == 0 { 200 } else { status };
    asked.lock().expect("the server did not panic").push(status);
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = if status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(client, "HTTP/1.1 {status} x\r\n{lines}{length}Connection: close\r\n\r\n")?;
    if first.starts_with("HEAD") { Ok(()) } else { client.write_all(&body) }
}
