//! The two ways in: plan a build, or only check.

use super::epoch::Epoch;
use super::globals::Globals;
use super::options::{Bases, Checked, Options, PlanError, Planned};
use super::planner::{Planner, check_config};
use super::types::{Moment, Plan, StepId};
use crate::instruction::Dockerfile;
use crate::lint::{Linter, Warning, parse_time};

/// Plans a build of the target.
///
/// # Errors
/// The first thing that is wrong, in the order in which BuildKit would find it; also the warnings, if the file asks
/// that they be errors.
pub fn plan(file: &Dockerfile, options: &Options, bases: &mut dyn Bases) -> Result<Planned, PlanError> {
    let (result, lint) = go(file, options, bases, false);
    let violation = lint.violation();
    let warnings = lint.finish();
    match (result, violation) {
        (Ok(plan), None) => Ok(Planned { plan, warnings }),
        (Ok(_), Some(message)) => Err(PlanError { warnings, ..PlanError::new(message) }),
        (Err(error), _) => Err(PlanError { warnings, ..error }),
    }
}

/// What SOURCE_DATE_EPOCH stands for. A plan knows only numbers: whoever can ask contexts and servers for their times
/// puts the answer in the place of the build argument.
///
/// # Errors
/// It stands for nothing, or the scope before the first FROM cannot be evaluated.
pub fn epoch(file: &Dockerfile, options: &Options) -> Result<Epoch, PlanError> {
    let platform = super::planner::target_platform(options)?;
    Globals::new(file, options, &platform).map(|globals| globals.epoch)
}

/// What the stage of a step is right after it; None if the plan has no such step. Costs a plan of what comes before
/// it, and nothing in [`plan()`]: steps are looked at one by one and rarely, and a configuration kept for each of them
/// would make long plans quadratic.
///
/// # Errors
/// As [`plan()`].
pub fn moment(
    file: &Dockerfile,
    options: &Options,
    bases: &mut dyn Bases,
    step: StepId,
) -> Result<Option<Moment>, PlanError> {
    let mut lint = Linter::new(check_config(file, options)?);
    Planner::new(file, options, bases, &mut lint)?.moment(step)
}

/// Looks for everything that a build would warn about, in all stages if no target is given.
pub fn check(file: &Dockerfile, options: &Options, bases: &mut dyn Bases) -> Checked {
    let (result, lint) = go(file, options, bases, true);
    Checked { warnings: lint.finish(), error: result.err() }
}

/// The warnings about a file of which only the beginning could be parsed.
pub fn parse_warnings(file: &Dockerfile, options: &Options) -> Vec<Warning> {
    let Ok(config) = check_config(file, options) else { return Vec::new() };
    let mut lint = Linter::new(config);
    // What is wrong with a comment is told when the file can be parsed.
    let _ = parse_time(file, &mut lint);
    lint.finish()
}

fn go(
    file: &Dockerfile,
    options: &Options,
    bases: &mut dyn Bases,
    checking: bool,
) -> (Result<Plan, PlanError>, Linter) {
    let mut lint = match check_config(file, options) {
        Ok(config) => Linter::new(config),
        Err(error) => return (Err(error), Linter::default()),
    };
    let result =
        Planner::new(file, options, bases, &mut lint).and_then(|mut planner| planner.build(checking));
    (result, lint)
}
