//! Why a sandbox could not be started.

use std::io;

use serde::{Deserialize, Serialize};

use crate::users::UserError;

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program does not exist in the rootfs; the field's exit code for it is 127.
    #[error("cannot run {program}: {}", if *.searched { "executable file not found in $PATH" } else { "no such file or directory" })]
    NotFound {
        /// As it was asked for.
        program: String,
        /// It was looked up in `PATH`.
        searched: bool,
    },
    /// The program exists, but the kernel does not run it; the field's exit code for it is 126.
    #[error("cannot run {program}: {}", exec_reason(*.errno))]
    NotExecutable {
        /// As it was asked for.
        program: String,
        /// What the kernel said.
        errno: i32,
    },
    /// The user or one of the groups does not exist in the rootfs.
    #[error(transparent)]
    User(#[from] UserError),
    /// A step of building the sandbox failed.
    #[error("cannot {step} {subject}: {}", io::Error::from_raw_os_error(*.errno))]
    Setup {
        /// What was done, as words that follow "cannot".
        step: String,
        /// To what: usually a path.
        subject: String,
        /// What the kernel said.
        errno: i32,
    },
    /// The spec cannot be carried out as it stands.
    #[error("{0}")]
    Invalid(String),
    /// The sandbox's first process ended before it had started the program.
    #[error("the sandbox ended before its program started ({0})")]
    Died(String),
}

impl SpawnError {
    /// The exit code that docker's table gives to this failure: 127, 126, else 125.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            _ => 125,
        }
    }

    pub(crate) fn setup(step: &str, subject: impl Into<String>, error: &io::Error) -> Self {
        Self::Setup {
            step: step.to_owned(),
            subject: subject.into(),
            errno: error.raw_os_error().unwrap_or(0),
        }
    }
}

fn exec_reason(errno: i32) -> String {
    if errno == nix::errno::Errno::ENOEXEC as i32 {
        return "not in an executable format of this machine (exec format error)".to_owned();
    }
    io::Error::from_raw_os_error(errno).to_string()
}

/// A [`SpawnError`] on its way from the sandbox to the parent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    NotFound { program: String, searched: bool },
    NotExecutable { program: String, errno: i32 },
    User(UserError),
    Setup { step: String, subject: String, errno: i32 },
    Invalid(String),
}

impl Failure {
    pub(crate) fn setup(step: &str, subject: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::Setup {
            step: step.to_owned(),
            subject: subject.into(),
            errno: error.into().raw_os_error().unwrap_or(0),
        }
    }
}

impl From<Failure> for SpawnError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound { program, searched } => Self::NotFound { program, searched },
            Failure::NotExecutable { program, errno } => Self::NotExecutable { program, errno },
            Failure::User(error) => Self::User(error),
            Failure::Setup { step, subject, errno } => Self::Setup { step, subject, errno },
            Failure::Invalid(message) => Self::Invalid(message),
        }
    }
}

impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        Self::User(error)
    }
}
