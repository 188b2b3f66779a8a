//! Writing to the standard streams.

use std::io::{self, Write};

use super::{Report, Style};
use crate::exit::Failure;

/// 128 + SIGPIPE: what a program ends with that writes into a closed pipe.
pub(crate) const CLOSED_PIPE: u8 = 141;

/// Writes an answer to standard output. That the reader went away is no error worth a word.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_raw(text.as_bytes())
}

/// The same for bytes.
pub(crate) fn print_raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Failure::silent(CLOSED_PIPE)),
        Err(e) => Err(Failure::new(format!("write to standard output: {e}"))),
    }
}

/// Prints a failed command's message and hint to standard error.
pub(crate) fn complain(failure: &Failure, style: Style) {
    let Some(message) = &failure.message else { return };
    let mut text = format!("{} {message}\n", style.error("ERROR:"));
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("{} {hint}\n", style.hint("help:")));
    }
    to_stderr(text.as_bytes());
}

/// Prints mistakes in a Dockerfile to standard error, with their lines.
pub(crate) fn explain(report: &Report, style: Style) {
    to_stderr(report.text(style).as_bytes());
}

/// Prints a remark, a question, or what belongs to the progress of a build, to standard error, as it is.
pub(crate) fn note(text: &str) {
    to_stderr(text.as_bytes());
}

/// Prints a warning to standard error.
pub(crate) fn warn(message: &str, style: Style) {
    to_stderr(format!("{} {message}\n", style.warning("WARNING:")).as_bytes());
}

/// Writes to standard error in one piece; there is nobody to tell if that fails.
pub(super) fn to_stderr(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}
