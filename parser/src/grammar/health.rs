//! `HEALTHCHECK`

use super::duration::nanoseconds;
use super::flags::{Flag, Flags, Takes};
use crate::diagnostic::Diagnostic;
use crate::go::quote;
use crate::instruction::{Command, Healthcheck, Timing};
use crate::lines::Logical;

const FLAGS: [(&str, Takes); 5] = [
    ("interval", Takes::Text),
    ("retries", Takes::Text),
    ("start-interval", Takes::Text),
    ("start-period", Takes::Text),
    ("timeout", Takes::Text),
];

/// Shortest duration, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

pub(super) fn healthcheck(
    line: &Logical<'_>,
    flags: &[Flag<'_>],
    kind: &str,
    command: Command,
) -> Result<Healthcheck, Diagnostic> {
    if kind.is_empty() {
        return Err(Diagnostic::new("HEALTHCHECK requires at least one argument"));
    }
    let empty = match &command {
        Command::Shell(text) => text.value.is_empty(),
        Command::Exec(arguments) => arguments.is_empty(),
    };
    let upper = kind.to_uppercase();
    if upper == "NONE" {
        // Flags are not even looked at here.
        let error = || Diagnostic::new("HEALTHCHECK NONE takes no arguments");
        return if empty { Ok(Healthcheck::None) } else { Err(error()) };
    }
    let flags = Flags::check(line, flags, &FLAGS)?;
    if upper != "CMD" {
        let message = format!("Unknown type {} in HEALTHCHECK (try CMD)", quote(&upper));
        return Err(Diagnostic::new(message).at(line.span(kind)));
    }
    if empty {
        return Err(Diagnostic::new("Missing command after HEALTHCHECK CMD"));
    }
    Ok(Healthcheck::Cmd { command, timing: timing(&flags)? })
}

fn timing(flags: &Flags) -> Result<Timing, Diagnostic> {
    Ok(Timing {
        interval: interval(flags, "interval")?,
        timeout: interval(flags, "timeout")?,
        start_period: interval(flags, "start-period")?,
        start_interval: interval(flags, "start-interval")?,
        retries: retries(flags)?,
    })
}

fn interval(flags: &Flags, name: &str) -> Result<i64, Diagnostic> {
    let Some(flag) = flags.text(name).filter(|flag| !flag.value.is_empty()) else { return Ok(0) };
    match nanoseconds(&flag.value) {
        Ok(value) if value != 0 && value < SHORTEST => {
            Err(Diagnostic::new(format!("Interval \"{name}\" cannot be less than 1ms")).at(flag.span))
        }
        Ok(value) => Ok(value),
        Err(error) => Err(Diagnostic::new(error).at(flag.span)),
    }
}

fn retries(flags: &Flags) -> Result<i32, Diagnostic> {
    let Some(flag) = flags.text("retries").filter(|flag| !flag.value.is_empty()) else { return Ok(0) };
    let digits = flag.value.strip_prefix(['+', '-']).unwrap_or(&flag.value);
    let message = match flag.value.parse::<i32>() {
        Ok(value) if value >= 0 => return Ok(value),
        Ok(value) => format!("--retries cannot be negative ({value})"),
        Err(_) => {
            let number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            let why = if number { "value out of range" } else { "invalid syntax" };
            format!("strconv.ParseInt: parsing {}: {why}", quote(&flag.value))
        }
    };
    Err(Diagnostic::new(message).at(flag.span))
}
