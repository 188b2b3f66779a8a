//! What the program's standard streams are.

use std::os::fd::OwnedFd;

/// The three standard streams of a program. With [`crate::sandbox::Spec::terminal`] they are not used: the
/// program's streams are its terminal.
#[derive(Debug)]
pub struct Stdio {
    /// Standard input.
    pub stdin: Io,
    /// Standard output.
    pub stdout: Io,
    /// Standard error.
    pub stderr: Io,
}

/// One standard stream.
#[derive(Debug)]
pub enum Io {
    /// Rbuild's own.
    Inherit,
    /// `/dev/null`.
    Null,
    /// This one; our copy is closed when the program has it.
    Fd(OwnedFd),
}

impl Stdio {
    /// Rbuild's own three streams.
    #[must_use]
    pub fn inherit() -> Self {
        Self { stdin: Io::Inherit, stdout: Io::Inherit, stderr: Io::Inherit }
    }
}
