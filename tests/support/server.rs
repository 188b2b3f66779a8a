//! A web server, for `ADD http://…` and remote contexts: one folder, on a port of this machine.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::web::{Answer, Web};

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct FileServer(Web);

impl FileServer {
    /// Serves `dir`; `headers` replaces headers by path, null leaves one out.
    pub(crate) fn start(dir: PathBuf, headers: Value) -> Self {
        Self(Web::start(move |path, _| answer(path, &dir, &headers)))
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.0.address()
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address())
    }
}

fn answer(target: &str, dir: &Path, headers: &Value) -> Answer {
    let path = target.split('?').next().unwrap_or_default();
    let file = dir.join(path.trim_start_matches('/'));
    let Ok(body) = std::fs::read(&file) else { return Answer { status: 404, ..Answer::default() } };
    let modified = file.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let usual = [
        ("Last-Modified", http_date(modified.as_secs())),
        ("Content-Type", "application/octet-stream".to_owned()),
    ];
    let line = |(name, value): (&str, String)| match headers[path].get(name) {
        None => Some(format!("{name}: {value}")),
        Some(Value::String(value)) => Some(format!("{name}: {value}")),
        Some(_) => None,
    };
    Answer { status: 200, headers: usual.into_iter().filter_map(line).collect(), body }
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
