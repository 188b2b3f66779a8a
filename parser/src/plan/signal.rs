//! Names of signals (STOPSIGNAL).

/// The signals of Linux, without `SIG`.
const NAMES: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// How far the real-time signals go from either end.
const REAL_TIME: u8 = 15;

/// Whether `text` is a number other than 0 or the name of a signal.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let distance = |rest: &str, sign: char, most: u8| {
        rest.is_empty()
            || rest
                .strip_prefix(sign)
                .and_then(|number| number.parse::<u8>().ok())
                .is_some_and(|number| (1..=most).contains(&number))
    };
    NAMES.contains(&name)
        || name.strip_prefix("RTMIN").is_some_and(|rest| distance(rest, '+', REAL_TIME))
        || name.strip_prefix("RTMAX").is_some_and(|rest| distance(rest, '-', REAL_TIME - 1))
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals() {
        for (text, expected) in [
            ("9", true),
            ("0", false),
            ("SIGTERM", true),
            ("term", true),
            ("SIGRTMIN+3", true),
            ("rtmax-14", true),
            ("rtmax-15", false),
            ("SIGNOPE", false),
            ("", false),
        ] {
            assert_eq!(super::is_signal(text), expected, "{text}");
        }
    }
}
