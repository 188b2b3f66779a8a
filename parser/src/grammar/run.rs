//! `RUN`: its flags, and what it executes.

use std::borrow::Cow;

use super::csv;
use super::flags::{Flag, Flags, Takes};
use super::heredoc::marker;
use crate::diagnostic::Diagnostic;
use crate::go::{parse_bool, quote};
use crate::instruction::{Command, Device, Field, Heredoc, Invocation, Mount, Network, Run, Security};
use crate::lines::Logical;
use crate::source::{Spanned, Text};
use crate::suggest::with_suggestion;

const FLAGS: [(&str, Takes); 4] =
    [("device", Takes::List), ("mount", Takes::List), ("network", Takes::Text), ("security", Takes::Text)];

pub(super) fn run(line: &Logical<'_>, flags: &[Flag<'_>], command: Command) -> Result<Run, Diagnostic> {
    let flags = Flags::check(line, flags, &FLAGS)?;
    // In BuildKit's order, so that the first error is its first error.
    let devices =
        flags.list("device").into_iter().map(|flag| read(flag, device)).collect::<Result<_, _>>()?;
    let mounts = flags.list("mount").into_iter().map(|flag| read(flag, mount));
    let mounts = mounts
        .map(|mount| mount.map(|Spanned { value: fields, span }| Mount { fields, span }))
        .collect::<Result<_, _>>()?;
    let network = flags.text("network").map(|flag| read(flag, network)).transpose()?;
    let security = flags.text("security").map(|flag| read(flag, security)).transpose()?;
    Ok(Run { command, mounts, network, security, devices })
}

/// Reads the value of a flag; an error is at the flag.
fn read<T>(
    flag: Spanned<Text>,
    parse: impl Fn(&str) -> Result<T, Diagnostic>,
) -> Result<Spanned<T>, Diagnostic> {
    let span = flag.span;
    parse(&flag.value).map(|value| Spanned::new(value, span)).map_err(|error| error.at(span))
}

fn network(value: &str) -> Result<Network, Diagnostic> {
    match value {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => Err(Diagnostic::new(format!("invalid network mode {}", quote(value)))),
    }
}

fn security(value: &str) -> Result<Security, Diagnostic> {
    match value {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => Ok(Security::Insecure),
        _ => Err(Diagnostic::new(format!("security {} is not valid", quote(value)))),
    }
}

fn mount(value: &str) -> Result<Vec<Field>, Diagnostic> {
    let fields = csv::fields(value)
        .map_err(|error| Diagnostic::new(format!("failed to parse csv mounts: {}", error.message)))?;
    let fields: Vec<_> = fields.into_iter().map(field).collect();
    let variable = |field: &&Field| {
        // A `$` at the very end is none.
        field.key == "from"
            && field.value.as_ref().is_some_and(|value| {
                value.trim_end_matches('\n').find('$').is_some_and(|at| at + 1 < value.len())
            })
    };
    match fields.iter().find(variable) {
        None => Ok(fields),
        Some(field) => Err(Diagnostic::new(format!(
            "'{}' doesn't support variable expansion, define alias stage instead",
            field.key
        ))),
    }
}

fn field(text: String) -> Field {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text.as_str(), None),
    };
    Field { key: key.to_lowercase(), value, text }
}

fn device(value: &str) -> Result<Device, Diagnostic> {
    let fields = csv::fields(value)
        .map_err(|error| Diagnostic::new(format!("failed to parse csv devices: {}", error.message)))?;
    let mut device = Device::default();
    for field in fields.into_iter().map(field) {
        match (field.key.as_str(), field.value) {
            ("required", None) => device.required = true,
            ("required", Some(value)) => device.required = boolean(&value)?,
            ("name", Some(_)) if !device.name.is_empty() => {
                return Err(Diagnostic::new(format!("device name already set to {}", device.name)));
            }
            ("name", Some(value)) => device.name = value,
            _ if device.name.is_empty() => device.name = field.text,
            (_, None) => {
                let message = format!("invalid field '{}' must be a key=value pair", field.text);
                return Err(Diagnostic::new(message));
            }
            (key, Some(_)) => {
                let message = format!("unexpected key '{key}' in '{}'", field.text);
                return Err(Diagnostic::new(with_suggestion(message, key, ["name", "required"], true)));
            }
        }
    }
    Ok(device)
}

fn boolean(value: &str) -> Result<bool, Diagnostic> {
    parse_bool(value).ok_or_else(|| Diagnostic::new(format!("invalid value for required: {value}")))
}

impl Run {
    /// What is executed, given the heredocs of the instruction.
    #[must_use]
    pub fn invocation<'r>(&'r self, heredocs: &'r [Heredoc]) -> Invocation<'r> {
        let text = match &self.command {
            Command::Exec(arguments) => return Invocation::Exec(arguments),
            Command::Shell(text) => text.value.as_str(),
        };
        let [first, ..] = heredocs else { return Invocation::Shell(Cow::Borrowed(text)) };
        if !matches!(marker(text), Ok(Some(_))) {
            return Invocation::Shell(Cow::Owned(with_bodies(text, heredocs)));
        }
        let body = first.content();
        if body.starts_with("#!") {
            return Invocation::Script { name: &first.name, body };
        }
        Invocation::Shell(body)
    }
}

/// A command that uses heredocs, for a shell that knows them.
pub(super) fn with_bodies(text: &str, heredocs: &[Heredoc]) -> String {
    let mut text = text.to_owned();
    for heredoc in heredocs {
        text.extend(["\n", &heredoc.body, &heredoc.name]);
    }
    text
}

/// How much longer [`with_bodies`] makes a command.
pub(crate) fn bodies_length(heredocs: &[Heredoc]) -> usize {
    heredocs.iter().map(|heredoc| 1 + heredoc.body.len() + heredoc.name.len()).sum()
}
