//! Points in time as image configs write them: RFC 3339, as Go's `time.RFC3339Nano` prints it.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time with nanoseconds, and the offset from UTC in which it is written.
///
/// The offset is kept because the history of a base image has to come out byte for byte as it went in. Comparing
/// looks at the instant first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    pub secs: i64,
    /// Nanoseconds after `secs`, below 1 000 000 000.
    pub nanos: u32,
    offset_minutes: i16,
}

/// A text that is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid RFC 3339 time {0:?}")]
pub struct TimestampError(String);

const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self::new(0, 0);

    /// The instant `secs` + `nanos`, written in UTC. `nanos` counts forward and is below 1 000 000 000.
    pub const fn new(secs: i64, nanos: u32) -> Self {
        Self { secs, nanos, offset_minutes: 0 }
    }

    /// The clock, in UTC.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// The clock by which the kernel stamps files. It stands still between two ticks, so a file that is made after
    /// [`Timestamp::now`] was asked can bear an earlier time; never one before this.
    pub fn now_of_files() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        Self::new(now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or_default())
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let seconds = |d: std::time::Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::new(seconds(after), after.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                match before.subsec_nanos() {
                    0 => Self::new(-seconds(before), 0),
                    nanos => Self::new(-seconds(before) - 1, 1_000_000_000 - nanos),
                }
            }
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.secs.saturating_add(i64::from(self.offset_minutes) * 60);
        let (year, month, day) = civil_from_days(local.div_euclid(SECONDS_PER_DAY));
        let second = local.rem_euclid(SECONDS_PER_DAY);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )?;
        if self.nanos != 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        match self.offset_minutes {
            0 => f.write_str("Z"),
            minutes => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.unsigned_abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text.as_bytes()).ok_or_else(|| TimestampError(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn parse(text: &[u8]) -> Option<Timestamp> {
    let year = number(text.get(0..4)?)?;
    let month = number(text.get(5..7)?)?;
    let day = number(text.get(8..10)?)?;
    let hour = number(text.get(11..13)?)?;
    let minute = number(text.get(14..16)?)?;
    let second = number(text.get(17..19)?)?;
    let marks = [text[4], text[7], text[10].to_ascii_uppercase(), text[13], text[16]];
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if marks != *b"--T::" || !in_range {
        return None;
    }
    let (nanos, zone) = fraction(&text[19..])?;
    let offset_minutes = offset(zone)?;
    let days = days_from_civil(year, month, day);
    let secs = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - i64::from(offset_minutes) * 60;
    Some(Timestamp { secs, nanos, offset_minutes })
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// Nanoseconds, and what follows them. Digits past the ninth are cut off, as Go does.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, zone) = rest.split_at(count);
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanos = padded.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    (count > 0).then_some((nanos, zone))
}

fn offset(zone: &[u8]) -> Option<i16> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let total = i16::try_from(hours * 60 + minutes).ok().filter(|_| hours < 24 && minutes < 60)?;
            Some(if *sign == b'-' { -total } else { total })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Both directions count in 400-year eras of a year that begins in March, so that the leap day is the last one.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_are_written_as_go_writes_them() {
        for (secs, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_700_000_000, 120_000_000, "2023-11-14T22:13:20.12Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
            (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
        ] {
            assert_eq!(Timestamp::new(secs, nanos).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), Timestamp::new(secs, nanos));
        }
    }

    #[test]
    fn an_offset_is_kept_and_names_the_same_instant() {
        let time: Timestamp = "2023-11-15T00:13:20+02:00".parse().unwrap();
        assert_eq!(time.secs, 1_700_000_000);
        assert_eq!(time.to_string(), "2023-11-15T00:13:20+02:00");
        let west: Timestamp = "2023-11-14T16:43:20.5-05:30".parse().unwrap();
        assert_eq!((west.secs, west.to_string().as_str()), (1_700_000_000, "2023-11-14T16:43:20.5-05:30"));
    }

    #[test]
    fn malformed_times_are_refused() {
        for text in [
            "",
            "2023",
            "2023-11-14",
            "2023-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2023-11-14T24:00:00Z",
            "2023-11-14T00:00:00",
            "2023-11-14T00:00:00.Z",
            "2023-11-14T00:00:00+2:00",
            "2023-11-14 00:00:00Z",
            "2023-11-14T00:00:00ZZ",
            "+023-11-14T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn system_times_before_the_epoch_count_forward() {
        let half = UNIX_EPOCH - std::time::Duration::from_millis(500);
        assert_eq!(Timestamp::from(half), Timestamp::new(-1, 500_000_000));
    }

    proptest! {
        #[test]
        fn writing_and_reading_agree(secs in -62_135_596_800i64..253_402_300_800, nanos in 0u32..1_000_000_000) {
            let time = Timestamp::new(secs, nanos);
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }
}
