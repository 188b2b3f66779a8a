//! Sizes and ages as docker prints them (the rules of docker/go-units).

use rbuild_builder::room::Space;

const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// Bytes with three significant digits, as in `docker images`: `4.26MB`.
pub(crate) fn size(bytes: u64) -> String {
    size_with_digits(bytes, 3)
}

/// Bytes with four significant digits, as in `docker system df`: `4.261MB`.
pub(crate) fn long_size(bytes: u64) -> String {
    size_with_digits(bytes, 4)
}

#[expect(clippy::cast_precision_loss, reason = "three or four digits are printed")]
fn size_with_digits(bytes: u64, digits: usize) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    // Rounded first: 999,999 bytes are 1MB, where go-units says 1e+03kB.
    while unit + 1 < UNITS.len() && round_to(value, digits) >= 1000.0 {
        value /= 1000.0;
        unit += 1;
    }
    format!("{}{}", round_to(value, digits), UNITS[unit])
}

/// `value`, below a million, with so many significant digits.
fn round_to(value: f64, digits: usize) -> f64 {
    let before_point = match value {
        v if v < 10.0 => 1,
        v if v < 100.0 => 2,
        v if v < 1000.0 => 3,
        _ => return value,
    };
    let factor = [1.0, 10.0, 100.0, 1000.0][digits.saturating_sub(before_point).min(3)];
    (value * factor).round() / factor
}

/// A length of time in words, as in `docker images`: `3 weeks`.
pub(crate) fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    // go-units rounds hours to the nearest, and everything longer down.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Bytes from what people type: `64m`, `1.5GB`, `1024` (`docker run --shm-size`: powers of 1024).
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    match text.parse() {
        Ok(Space::Bytes(bytes)) => Some(bytes),
        Ok(Space::Percent(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, short, long) in [
            (0, "0B", "0B"),
            (999, "999B", "999B"),
            (1000, "1kB", "1kB"),
            (4_261_550, "4.26MB", "4.262MB"),
            (77_123_456, "77.1MB", "77.12MB"),
            (123_456_789, "123MB", "123.5MB"),
            (999_999, "1MB", "1MB"),
            (2_000_000_000, "2GB", "2GB"),
        ] {
            assert_eq!((size(bytes).as_str(), long_size(bytes).as_str()), (short, long));
        }
    }

    #[test]
    fn durations() {
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, want) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (59 * 60, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + HOUR / 2, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
        ] {
            assert_eq!(duration(seconds), want, "{seconds}");
        }
    }

    #[test]
    fn typed_sizes() {
        for (text, want) in [
            ("1024", Some(1024)),
            ("64m", Some(64 << 20)),
            ("1.5g", Some(3 << 29)),
            ("2GiB", Some(2 << 30)),
            ("10 kB", Some(10 << 10)),
            ("x", None),
            ("", None),
            ("1z", None),
            ("-1", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
    }
}
