//! Durations as Go writes them: `1h30m`, `500ms`, `1.5s`.

use nom::bytes::complete::take_till1;
use nom::character::complete::{char, digit0};
use nom::combinator::{opt, verify};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

use crate::go::quote;

/// Nanoseconds in each unit.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds of a duration.
///
/// # Errors
/// Those of Go's `time.ParseDuration`, word for word.
pub(crate) fn nanoseconds(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (tail, (whole, fraction)) = number(rest).map_err(|_| invalid())?;
        let Ok((tail, unit)) = unit(tail) else {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        };
        let Some((_, scale)) = UNITS.into_iter().find(|(name, _)| *name == unit) else {
            let (unit, text) = (quote(unit), quote(text));
            return Err(format!("time: unknown unit {unit} in duration {text}"));
        };
        // Eighteen digits hold everything that fits into the result.
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        total += i128::from(whole) * scale + part(fraction, scale);
        rest = tail;
    }
    let signed = if text.starts_with('-') { -total } else { total };
    i64::try_from(signed).map_err(|_| invalid())
}

/// Digits before and after the point; at least one of them.
fn number(text: &str) -> IResult<&str, (&str, &str)> {
    let parts = pair(digit0, opt(preceded(char('.'), digit0)).map(Option::unwrap_or_default));
    verify(parts, |(whole, fraction): &(&str, &str)| !(whole.is_empty() && fraction.is_empty())).parse(text)
}

fn unit(text: &str) -> IResult<&str, &str> {
    take_till1(|c: char| c == '.' || c.is_ascii_digit()).parse(text)
}

/// `0.fraction` of a unit, cut off below a nanosecond.
fn part(fraction: &str, scale: i128) -> i128 {
    let (mut value, mut unit) = (0, scale);
    for digit in fraction.bytes().map_while(|byte| char::from(byte).to_digit(10)) {
        // All units are powers of ten times something small; what division loses is below a nanosecond.
        value += i128::from(digit) * unit / 10;
        unit /= 10;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn reads_durations() {
        for (text, expected) in [
            ("0", 0),
            ("0ms", 0),
            ("1ms", 1_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5h", 1_800_000_000_000),
            ("-2us", -2000),
            ("2µs", 2000),
            ("1.0000000005s", 1_000_000_000),
            ("1.25m", 75_000_000_000),
        ] {
            assert_eq!(nanoseconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_like_go() {
        for (text, message) in [
            ("", r#"time: invalid duration """#),
            ("x", r#"time: invalid duration "x""#),
            ("5", r#"time: missing unit in duration "5""#),
            ("5x", r#"time: unknown unit "x" in duration "5x""#),
            (".s", r#"time: invalid duration ".s""#),
            ("9999999h", r#"time: invalid duration "9999999h""#),
        ] {
            assert_eq!(nanoseconds(text), Err(message.to_owned()), "{text}");
        }
    }
}
