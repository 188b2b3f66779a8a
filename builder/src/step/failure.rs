//! Why a step failed.

use std::io;

use rbuild_image::store::{StoreError, TempDir, help_for_room};
use rbuild_runtime::sandbox::SpawnError;

/// A step that could not be done; where it stands in the Dockerfile is the caller's knowledge.
#[derive(Debug)]
pub(crate) struct StepFailure {
    /// In BuildKit's words where it has some.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
    /// The exit code of the process, if one ran or should have.
    pub(crate) exit: Option<i32>,
    /// The end of its output.
    pub(crate) log_tail: Vec<u8>,
    /// False where BuildKit reports the error without a line (spec 10.1).
    pub(crate) located: bool,
    /// True if a layer from elsewhere cannot be had: the build starts over without it.
    pub(crate) again: bool,
    /// What it had made until then.
    pub(crate) remains: Option<Box<TempDir>>,
}

impl StepFailure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            exit: None,
            log_tail: Vec::new(),
            located: true,
            again: false,
            remains: None,
        }
    }

    /// A layer that was a hit turns out not to be there.
    pub(crate) fn lost() -> Self {
        Self { again: true, ..Self::new("a layer of the imported cache cannot be had") }
    }

    pub(crate) fn io(doing: &str, cause: &io::Error) -> Self {
        let help = help_for_room(cause.kind()).map(str::to_owned);
        Self { help, ..Self::new(format!("failed to {doing}: {cause}")) }
    }

    pub(crate) fn store(cause: StoreError) -> Self {
        Self { help: cause.help().map(str::to_owned), ..Self::new(cause.to_string()) }
    }

    pub(crate) fn spawn(cause: SpawnError) -> Self {
        let code = cause.exit_code();
        let failure = Self::new(cause.to_string());
        if code == 125 { failure } else { failure.exit(code) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn exit(mut self, code: i32) -> Self {
        self.exit = Some(code);
        self
    }

    pub(crate) fn log_tail(mut self, tail: Vec<u8>) -> Self {
        self.log_tail = tail;
        self
    }

    pub(crate) fn leaving(mut self, remains: TempDir) -> Self {
        self.remains = Some(Box::new(remains));
        self
    }
}
