//! The scope before the first FROM: predefined arguments, and the ARGs that stand there (spec 2.4, 2.7).

use std::collections::BTreeSet;

use super::environment::Variables;
use super::epoch::{self, Epoch};
use super::options::{Options, PlanError};
use super::platform::Platform;
use crate::expand::{Budget, Expander};
use crate::instruction::{Arg, Dockerfile, Instruction};

/// What FROM lines see.
#[derive(Debug)]
pub(super) struct Globals {
    pub(super) variables: Variables,
    /// The same if no build argument were given; None if that does not work out.
    pub(super) defaults: Option<Variables>,
    /// Names that exist, with or without a value.
    pub(super) declared: BTreeSet<String>,
    /// SOURCE_DATE_EPOCH.
    pub(super) epoch: Epoch,
    /// What the expansions of the whole file may cost.
    pub(super) budget: Budget,
}

impl Globals {
    pub(super) fn new(file: &Dockerfile, options: &Options, target: &Platform) -> Result<Self, PlanError> {
        let predefined = predefined(file, options, target)?;
        let mut variables = Variables::default();
        let mut defaults = Variables::default();
        let mut declared = BTreeSet::new();
        let budget = Budget::default();
        for (name, value) in &predefined {
            variables.set(name, options.build_args.get(*name).unwrap_or(value));
            defaults.set(name, value);
            declared.insert((*name).to_owned());
        }
        let escape = file.escape.char();
        let mut defaults = Some(defaults);
        for arg in &file.global_args {
            declare(arg, &mut variables, escape, &budget, |name| options.build_args.get(name))?;
            defaults = defaults.and_then(|mut known| {
                declare(arg, &mut known, escape, &budget, |_| None).ok().map(|()| known)
            });
            declared.extend(arg.kind.declarations.iter().map(|each| each.name.value.to_string()));
        }
        let epoch = epoch::read(file, options, &variables)?;
        Ok(Self { variables, defaults, declared, epoch, budget })
    }
}

fn declare<'o>(
    arg: &Instruction<Arg>,
    variables: &mut Variables,
    escape: char,
    budget: &Budget,
    given: impl Fn(&str) -> Option<&'o String>,
) -> Result<(), PlanError> {
    for declaration in &arg.kind.declarations {
        let name = declaration.name.as_str();
        let value = match (given(name), &declaration.default) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => {
                let expanded = Expander::new(variables, escape).within(budget).word(default.as_str());
                expanded.map_err(|cause| PlanError::from(cause).at(arg.lines))?.value
            }
            (None, None) => continue,
        };
        variables.set(name, &value);
    }
    Ok(())
}

fn predefined(
    file: &Dockerfile,
    options: &Options,
    target: &Platform,
) -> Result<Vec<(&'static str, String)>, PlanError> {
    let parse = |text: &str| {
        Platform::parse(text)
            .map_err(|cause| PlanError::new(format!("failed to parse platform {text}: {cause}")))
    };
    let build =
        if options.build_platform.is_empty() { target.clone() } else { parse(&options.build_platform)? };
    let last = file.stages.last().and_then(|stage| stage.from.kind.name.as_ref());
    let stage = options.target.clone().or_else(|| last.map(|name| name.lower.to_string()));
    Ok(vec![
        ("BUILDPLATFORM", build.format()),
        ("BUILDOS", build.os),
        ("BUILDOSVERSION", build.version),
        ("BUILDARCH", build.arch),
        ("BUILDVARIANT", build.variant),
        ("TARGETPLATFORM", target.format()),
        ("TARGETOS", target.os.clone()),
        ("TARGETOSVERSION", target.version.clone()),
        ("TARGETARCH", target.arch.clone()),
        ("TARGETVARIANT", target.variant.clone()),
        ("TARGETSTAGE", stage.unwrap_or_else(|| "default".to_owned())),
    ])
}
