//! FROM lines: expanded, checked and bound, for all stages of a file (spec 3.1, 4.1).

use super::globals::Globals;
use super::links::{Links, Origin, check_reference};
use super::options::PlanError;
use super::platform::Platform;
use super::reference;
use crate::expand::{Expanded, Expander};
use crate::instruction::{Dockerfile, From, Instruction};
use crate::lint::{Linter, Rule};
use crate::source::LineRange;
use crate::suggest::suggest;

/// What a stage starts from.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) origin: Origin,
    /// `--platform`, or that of the target.
    pub(super) platform: Platform,
    /// A named context stands for the whole stage.
    pub(super) replaced: bool,
    pub(super) lines: LineRange,
}

/// Binds all stages.
pub(super) fn bind(
    file: &Dockerfile,
    links: &Links<'_>,
    globals: &Globals,
    target: &Platform,
    lint: &mut Linter,
) -> Result<Vec<Bound>, PlanError> {
    let escape = file.escape.char();
    let mut bound = Vec::with_capacity(file.stages.len());
    let mut names = std::collections::HashMap::new();
    // Before anything is found to be wrong with the values that were given.
    for stage in &file.stages {
        lint.enter(&stage.from.comments)?;
        warn_about_defaults(&stage.from, escape, globals, lint);
    }
    for (index, stage) in file.stages.iter().enumerate() {
        let from = &stage.from;
        lint.enter(&from.comments)?;
        let image =
            Expander::new(&globals.variables, escape).within(&globals.budget).word(from.kind.image.as_str());
        let image = image.map_err(|cause| PlanError::from(cause).at(from.lines))?;
        report_undeclared(&image, globals, from.lines, lint);
        if image.value.trim().is_empty() {
            let message = format!("base name ({}) should not be blank", from.kind.image.value);
            return Err(PlanError::new(with_names(message, &image, globals)).at(from.lines));
        }
        let platform = platform(from, escape, globals, lint)?.unwrap_or_else(|| target.clone());
        let name = from.kind.name.as_ref().map(|name| name.lower.as_str());
        let replacement = name.and_then(|name| links.context(name));
        let origin = match (replacement, names.get(image.value.as_str())) {
            (Some(key), _) => Origin::Context(key.to_owned()),
            (None, _) if image.value == "scratch" => Origin::Scratch,
            (None, Some(stage)) => Origin::Stage(*stage),
            (None, None) => match links.context(&image.value) {
                Some(key) => Origin::Context(key.to_owned()),
                None => Origin::Image(image.value),
            },
        };
        if let Origin::Image(name) = &origin {
            check_reference(name, from.lines)?;
        }
        bound.push(Bound { origin, platform, replaced: replacement.is_some(), lines: from.lines });
        if let Some(name) = name {
            names.insert(name, index);
        }
    }
    Ok(bound)
}

fn platform(
    from: &Instruction<From>,
    escape: char,
    globals: &Globals,
    lint: &mut Linter,
) -> Result<Option<Platform>, PlanError> {
    let Some(written) = &from.kind.platform else { return Ok(None) };
    let written = written.as_str();
    let expanded = Expander::new(&globals.variables, escape).within(&globals.budget).word(written);
    let expanded = expanded.map_err(|cause| PlanError::from(cause).at(from.lines))?;
    report_undeclared(&expanded, globals, from.lines, lint);
    if expanded.used == ["TARGETPLATFORM"] && expanded.undefined.is_empty() && is_one_variable(written) {
        lint.warn(Rule::RedundantTargetPlatform, from.lines, || {
            format!("Setting platform to predefined {written} in FROM is redundant as this is the default behavior")
        });
    }
    if expanded.value.is_empty() {
        let message = format!("empty platform value from expression {written}");
        return Err(PlanError::new(with_names(message, &expanded, globals)).at(from.lines));
    }
    let platform = Platform::parse(&expanded.value).map_err(|cause| {
        let message = format!("failed to parse platform {written}: {cause}");
        PlanError::new(with_names(message, &expanded, globals)).at(from.lines)
    })?;
    if expanded.used.is_empty() && expanded.undefined.is_empty() {
        let name = from.kind.name.as_ref().map_or("", |name| name.lower.as_str());
        if !name.contains(&platform.os) && !name.contains(&platform.arch) {
            lint.warn(Rule::FromPlatformFlagConstDisallowed, from.lines, || {
                format!(
                    "FROM --platform flag should not use constant value {}",
                    crate::go::quote(&expanded.value)
                )
            });
        }
    }
    Ok(Some(platform))
}

fn is_one_variable(text: &str) -> bool {
    matches!(text, "$TARGETPLATFORM" | "${TARGETPLATFORM}")
}

fn report_undeclared(expanded: &Expanded<String>, globals: &Globals, lines: LineRange, lint: &mut Linter) {
    for name in expanded.undefined.iter().filter(|name| !globals.declared.contains(*name)) {
        lint.warn(Rule::UndefinedArgInFrom, lines, || {
            with_name(format!("FROM argument '{name}' is not declared"), name, globals)
        });
    }
}

fn with_name(message: String, name: &str, globals: &Globals) -> String {
    match suggest(name, globals.declared.iter().map(String::as_str), true) {
        Some(candidate) => format!("{message} (did you mean {candidate}?)"),
        None => message,
    }
}

fn with_names(message: String, expanded: &Expanded<String>, globals: &Globals) -> String {
    expanded.undefined.iter().fold(message, |message, name| with_name(message, name, globals))
}

fn warn_about_defaults(from: &Instruction<From>, escape: char, globals: &Globals, lint: &mut Linter) {
    let Some(defaults) = &globals.defaults else { return };
    let written = from.kind.image.as_str();
    let Ok(expanded) = Expander::new(defaults, escape).within(&globals.budget).word(written) else { return };
    if !expanded.used.is_empty() || !expanded.undefined.is_empty() {
        let valid = !expanded.value.is_empty() && reference::validate(&expanded.value).is_ok();
        if !valid {
            lint.warn(Rule::InvalidDefaultArgInFrom, from.lines, || {
                format!("Default value for ARG {written} results in empty or invalid base image name")
            });
        }
    }
}
