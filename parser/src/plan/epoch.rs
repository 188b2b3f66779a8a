//! What `SOURCE_DATE_EPOCH` stands for (spec 2.7): a number, or something that has a time of its own.

use super::copy::remote_source;
use super::environment::Variables;
use super::options::{NamedContext, Options, PlanError, fail};
use super::reference;
use super::types::CopySource;
use crate::expand::{Expander, Lookup};
use crate::instruction::{Add, Arg, Dockerfile, Kind, PathSource, Stage};
use crate::source::{Spanned, Text};

pub(super) const NAME: &str = "SOURCE_DATE_EPOCH";

/// A value of the build argument `SOURCE_DATE_EPOCH`, or of the global ARG of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Epoch {
    /// There is none.
    Unset,
    /// Seconds since 1970.
    Seconds(i64),
    /// The time of a context: `context` for the main one, else a key of [`Options::contexts`].
    Context(String),
    /// The time of what the only ADD of a stage fetches.
    Added(RemoteAdd),
}

/// An ADD of one remote source, expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteAdd {
    /// [`CopySource::Http`] or [`CopySource::Git`].
    pub source: CopySource,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--keep-git-dir`.
    pub keep_git_dir: Option<bool>,
}

/// What the value means. `globals` is the scope before the first FROM.
pub(super) fn read(file: &Dockerfile, options: &Options, globals: &Variables) -> Result<Epoch, PlanError> {
    let given = options.build_args.get(NAME).map(String::as_str);
    let value = given.or_else(|| globals.get(NAME)).unwrap_or_default();
    if value.is_empty() {
        return Ok(Epoch::Unset);
    }
    if let Ok(seconds) = value.parse() {
        return Ok(Epoch::Seconds(seconds));
    }
    if value == "context" || options.contexts.get(reference::familiar(value)) == Some(&NamedContext::Folder) {
        return Ok(Epoch::Context(reference::familiar(value).to_owned()));
    }
    let named = |stage: &&Stage| {
        stage.from.kind.name.as_ref().is_some_and(|name| name.lower.eq_ignore_ascii_case(value))
    };
    let added = match file.stages.iter().rfind(named) {
        Some(stage) => only_add(stage, options, globals, file.escape.char())?,
        None => None,
    };
    added.map_or_else(|| fail(format!("invalid {NAME}: {value}")), |add| Ok(Epoch::Added(add)))
}

/// The ADD of a stage that is made of nothing else. None for other stages.
fn only_add(
    stage: &Stage,
    options: &Options,
    globals: &Variables,
    escape: char,
) -> Result<Option<RemoteAdd>, PlanError> {
    if stage.from.kind.image.as_str() != "scratch" {
        return Ok(None);
    }
    let mut variables = Variables::default();
    let mut found = None;
    for instruction in &stage.instructions {
        let done = match &instruction.kind {
            Kind::Arg(arg) => declare(arg, &mut variables, options, globals, escape).map(|()| true),
            Kind::Add(add) if found.is_none() => remote(add, &variables, escape).map(|add| {
                found = add;
                found.is_some()
            }),
            _ => Ok(false),
        };
        if !done.map_err(|error| error.at(instruction.lines))? {
            return Ok(None);
        }
    }
    Ok(found)
}

fn declare(
    arg: &Arg,
    variables: &mut Variables,
    options: &Options,
    globals: &Variables,
    escape: char,
) -> Result<(), PlanError> {
    for declaration in &arg.declarations {
        let name = declaration.name.as_str();
        let value = match (options.build_args.get(name), &declaration.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(Expander::new(variables, escape).word(default.as_str())?.value),
            (None, None) => globals.get(name).map(str::to_owned),
        };
        if let Some(value) = value {
            variables.set(name, &value);
        }
    }
    Ok(())
}

fn remote(add: &Add, variables: &Variables, escape: char) -> Result<Option<RemoteAdd>, PlanError> {
    let [PathSource::Path(path)] = &add.paths.sources[..] else { return Ok(None) };
    let expand = |text: &Spanned<Text>| Expander::new(variables, escape).word(text.as_str());
    let Some(source) = remote_source(&expand(path)?.value) else { return Ok(None) };
    let checksum = add.checksum.as_ref().map(expand).transpose()?.map(|checksum| checksum.value);
    let checksum = checksum.filter(|checksum| !checksum.is_empty());
    Ok(Some(RemoteAdd { source, checksum, keep_git_dir: add.keep_git_dir }))
}
