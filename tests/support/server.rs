//! A web server, for `ADD http://…` and remote contexts: one folder, on a port of this machine.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct FileServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FileServer {
    /// Serves `dir`; `headers` replaces headers by path, null leaves one out.
    pub(crate) fn start(dir: PathBuf, headers: Value) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A client that went away is no problem of the server's.
                let _ = client.and_then(|client| answer(client, &dir, &headers));
            }
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread up.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server did not panic");
        }
    }
}

fn answer(mut client: TcpStream, dir: &Path, headers: &Value) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = BufReader::new(client.try_clone()?);
    let (mut first, mut line) = (String::new(), String::new());
    request.read_line(&mut first)?;
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let file = dir.join(path.trim_start_matches('/'));
    let Ok(data) = std::fs::read(&file) else {
        return client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let mut head = "HTTP/1.1 200 OK\r\nConnection: close\r\n".to_owned();
    let own = &headers[path];
    let modified = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let usual = [
        ("Last-Modified", http_date(modified.as_secs())),
        ("Content-Type", "application/octet-stream".to_owned()),
        ("Content-Length", data.len().to_string()),
    ];
    for (name, value) in usual {
        match own.get(name) {
            None => head += &format!("{name}: {value}\r\n"),
            Some(Value::String(value)) => head += &format!("{name}: {value}\r\n"),
            Some(_) => {}
        }
    }
    client.write_all(format!("{head}\r\n").as_bytes())?;
    if method == "HEAD" { Ok(()) } else { client.write_all(&data) }
}

/// `Mon, 02 Jan 2006 22:04:05 GMT` (RFC 9110, section 5.6.7).
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = seconds / 86400;
    // Days are counted from the first of March of year 0, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let (name, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize]);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{name}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[test]
fn dates() {
    for (seconds, date) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1_136_239_445, "Mon, 02 Jan 2006 22:04:05 GMT"),
        (1_582_934_400, "Sat, 29 Feb 2020 00:00:00 GMT"),
        (1_500_000_000, "Fri, 14 Jul 2017 02:40:00 GMT"),
    ] {
        assert_eq!(http_date(seconds), date);
    }
}
