//! The checks that need no values.

use std::collections::HashSet;

use super::config::BadCheckOption;
use super::linter::Linter;
use super::rule::Rule;
use crate::instruction::{Dockerfile, From, Instruction, Kind};
use crate::source::{LineRange, Spanned, Text};

/// The checks that are made while parsing, and so even if a later line cannot be parsed.
pub(crate) fn parse_time(file: &Dockerfile, lint: &mut Linter) -> Result<(), BadCheckOption> {
    for arg in &file.global_args {
        lint.enter(&arg.comments)?;
        describes_args(&arg.kind, &arg.comments, arg.lines, lint);
    }
    for stage in &file.stages {
        lint.enter(&stage.from.comments)?;
        from_casing(&stage.from, lint);
        for instruction in &stage.instructions {
            lint.enter(&instruction.comments)?;
            match &instruction.kind {
                Kind::Arg(arg) => describes_args(arg, &instruction.comments, instruction.lines, lint),
                Kind::Maintainer(_) => lint.warn(Rule::MaintainerDeprecated, instruction.lines, || {
                    "Maintainer instruction is deprecated in favor of using label".to_owned()
                }),
                _ => {}
            }
        }
    }
    Ok(())
}

fn from_casing(from: &Instruction<From>, lint: &mut Linter) {
    let Some(name) = &from.kind.name else { return };
    if name.written.value != name.lower {
        lint.warn(Rule::StageNameCasing, from.lines, || {
            format!("Stage name '{}' should be lowercase", name.written.value)
        });
    }
    let (keyword, alias) = (&from.keyword.value, &name.keyword.value);
    let uniform = is_lower(keyword) || is_upper(keyword);
    let same = is_lower(keyword) == is_lower(alias) && is_upper(keyword) == is_upper(alias);
    if uniform && !same {
        lint.warn(Rule::FromAsCasing, from.lines, || {
            format!("'{alias}' and '{keyword}' keywords' casing do not match")
        });
    }
    describes("FROM", &[name.lower.as_str()], &from.comments, from.lines, lint);
}

fn describes_args(
    arg: &crate::instruction::Arg,
    comments: &[Spanned<Text>],
    lines: LineRange,
    lint: &mut Linter,
) {
    let names: Vec<&str> = arg.declarations.iter().map(|declaration| declaration.name.as_str()).collect();
    describes("ARG", &names, comments, lines, lint);
}

fn describes(keyword: &str, names: &[&str], comments: &[Spanned<Text>], lines: LineRange, lint: &mut Linter) {
    let Some(comment) = comments.last() else { return };
    if names.contains(&comment.value.split(' ').next().unwrap_or("")) {
        return;
    }
    lint.warn(Rule::InvalidDefinitionDescription, lines, || {
        let example = match names {
            [only] => only,
            _ => "<arg_key>",
        };
        format!("Comment for {keyword} should follow the format: `# {example} <description>`")
    });
}

/// The checks of the whole tree, reachable or not.
pub(crate) fn structure(file: &Dockerfile, lint: &mut Linter) -> Result<(), BadCheckOption> {
    stage_names(file, lint)?;
    let majority = Majority::of(file);
    for stage in &file.stages {
        form(&stage.from, majority, lint)?;
        for instruction in &stage.instructions {
            form(instruction, majority, lint)?;
        }
    }
    for arg in &file.global_args {
        lint.enter(&arg.comments)?;
        continuation(arg, lint);
    }
    Ok(())
}

fn stage_names(file: &Dockerfile, lint: &mut Linter) -> Result<(), BadCheckOption> {
    let mut seen = HashSet::new();
    for stage in &file.stages {
        let Some(name) = &stage.from.kind.name else { continue };
        lint.enter(&stage.from.comments)?;
        if matches!(&*name.lower, "scratch" | "context") {
            lint.warn(Rule::ReservedStageName, stage.from.lines, || {
                format!("Stage name should not use the same name as reserved stage \"{}\"", name.lower)
            });
        }
        if !seen.insert(&name.lower) {
            lint.warn(Rule::DuplicateStageName, stage.from.lines, || {
                format!("Duplicate stage name \"{}\", stage names should be unique", name.lower)
            });
        }
    }
    Ok(())
}

/// The case that most keywords are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Majority {
    Lower,
    Upper,
}

impl Majority {
    pub(crate) fn of(file: &Dockerfile) -> Self {
        let keywords = file.stages.iter().flat_map(|stage| {
            std::iter::once(&stage.from.keyword).chain(stage.instructions.iter().map(|each| &each.keyword))
        });
        let (mut lower, mut upper) = (0, 0);
        for keyword in keywords {
            lower += usize::from(is_lower(keyword.as_str()));
            upper += usize::from(is_upper(keyword.as_str()));
        }
        if lower > upper { Self::Lower } else { Self::Upper }
    }
}

fn form<K>(
    instruction: &Instruction<K>,
    majority: Majority,
    lint: &mut Linter,
) -> Result<(), BadCheckOption> {
    lint.enter(&instruction.comments)?;
    continuation(instruction, lint);
    let keyword = instruction.keyword.as_str();
    let (fits, name) = match majority {
        Majority::Lower => (is_lower(keyword), "lowercase"),
        Majority::Upper => (is_upper(keyword), "uppercase"),
    };
    if !fits {
        lint.warn(Rule::ConsistentInstructionCasing, instruction.lines, || {
            format!("Command '{keyword}' should match the case of the command majority ({name})")
        });
    }
    Ok(())
}

fn continuation<K>(instruction: &Instruction<K>, lint: &mut Linter) {
    if instruction.empty_continuation.is_some() {
        let last = LineRange { first: instruction.lines.last, last: instruction.lines.last };
        lint.warn(Rule::NoEmptyContinuation, last, || "Empty continuation line".to_owned());
    }
}

fn is_lower(word: &str) -> bool {
    !word.chars().any(char::is_uppercase)
}

fn is_upper(word: &str) -> bool {
    !word.chars().any(char::is_lowercase)
}
