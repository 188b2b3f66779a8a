//! RUN, the instruction with the most to it.

use std::borrow::Cow;

use serde::Serialize;

use super::Command;
use crate::source::{Span, Spanned};

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The command as written. What has to be executed is [`Run::invocation`].
    pub command: Command,
    /// `--mount`, in order.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Option<Spanned<Network>>,
    /// `--security`
    pub security: Option<Spanned<Security>>,
    /// `--device`, in order.
    pub devices: Vec<Spanned<Device>>,
}

/// What a RUN executes, after its heredocs have been put where they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation<'a> {
    /// The program and its arguments.
    Exec(&'a [String]),
    /// One argument for the shell.
    Shell(Cow<'a, str>),
    /// The body of a heredoc that begins with `#!`: an executable file of this name, given to the shell.
    Script {
        /// The delimiter.
        name: &'a str,
        /// The body, without leading tabs where it should be.
        body: Cow<'a, str>,
    },
}

/// `RUN --mount`: the fields of its CSV value. Their meaning depends on variables and is found out later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// The fields in order.
    pub fields: Vec<Field>,
    /// The whole flag.
    pub span: Span,
}

/// `key=value` or a bare `key` in a CSV value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// All of it, as written.
    pub text: String,
    /// What is before the first `=`, in lower case.
    pub key: String,
    /// What is behind it, as written.
    pub value: Option<String>,
}

/// `RUN --network`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[expect(missing_docs, reason = "the names are those of the language")]
pub enum Network {
    Default,
    None,
    Host,
}

/// `RUN --security`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[expect(missing_docs, reason = "the names are those of the language")]
pub enum Security {
    Sandbox,
    Insecure,
}

/// `RUN --device`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Device {
    /// `vendor/class[=device]`
    pub name: String,
    /// Whether the build fails without it.
    pub required: bool,
}
