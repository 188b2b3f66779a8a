//! How rbuild ends: the only table of exit codes, and the error that a command hands back.
//!
//! | code | when |
//! |---|---|
//! | 0 | it worked |
//! | 1 | the command failed; wrong number of arguments; unknown command |
//! | 125 | unknown or malformed flag; `run`: rbuild itself failed before the program started |
//! | 126 | `run`: the program cannot be executed |
//! | 127 | `run`: the program was not found |
//! | 128+n | `run`: signal n ended the program; `build`: signal n ended the build |
//! | other | `run`: the program's own |
//!
//! These are docker's ("docker run", section "Exit status").

use std::fmt;
use std::process::ExitCode;

use rbuild_image::store::StoreError;

/// The command did what it was asked to.
pub(crate) const SUCCESS: u8 = 0;
/// The command failed.
pub(crate) const FAILURE: u8 = 1;
/// A flag was wrong, or `run` could not start a container.
pub(crate) const USAGE: u8 = 125;

/// What a command comes to: an exit code, or an error to be printed.
pub(crate) type Outcome = Result<Exit, Failure>;

/// An exit code of the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    /// All is well.
    pub(crate) const OK: Self = Self(SUCCESS);

    /// The program's own code.
    pub(crate) fn program(code: i32) -> Self {
        Self(u8::try_from(code).unwrap_or(u8::MAX))
    }

    /// A signal asked for the end.
    pub(crate) fn signal(number: i32) -> Self {
        Self(u8::try_from(128 + number).unwrap_or(u8::MAX))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// A command that failed: what to say, and the code to end with.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code to end with.
    pub(crate) code: u8,
    /// What is printed after `ERROR: `; None if everything was said already.
    pub(crate) message: Option<String>,
    /// What can be done about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure with code 1.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { code: FAILURE, message: Some(message.to_string()), hint: None }
    }

    /// A flag whose value makes no sense.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { code: USAGE, message: Some(message.to_string()), hint: None }
    }

    /// Everything was said already.
    pub(crate) fn silent(code: u8) -> Self {
        Self { code, message: None, hint: None }
    }

    /// The same with a word on what can be done.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with another code.
    pub(crate) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { hint: help(&error), ..Self::new(chain(&error)) }
    }
}

/// What can be done about an error, where the store is behind it.
pub(crate) fn help(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|error| error.downcast_ref::<StoreError>()?.help()).map(str::to_owned)
}

/// The message of an error and of its causes, without repeating what a message already says of its cause.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
