//! Which earlier step made a parent differ.

use super::change::Culprit;
use super::record::{BuildRecord, BuildStep, Parent};

/// The steps below a step, the lowest first, and what they stand on.
fn below(build: &BuildRecord, step: usize) -> (Vec<usize>, &Parent) {
    let (mut steps, mut parent) = (Vec::new(), &build.steps[step].head.parent);
    while let Parent::Step(number) = parent {
        // The record of a build elsewhere may say anything, also that a step stands on itself.
        if steps.len() > build.steps.len() {
            break;
        }
        let Some(next) = build.steps.get(*number as usize) else { break };
        steps.push(*number as usize);
        parent = &next.head.parent;
    }
    steps.reverse();
    (steps, parent)
}

/// The lowest difference between what two steps stand on.
pub(super) fn culprit(before: (&BuildRecord, usize), after: (&BuildRecord, usize)) -> Culprit {
    let (old_steps, old_base) = below(before.0, before.1);
    let (new_steps, new_base) = below(after.0, after.1);
    if old_base != new_base {
        return Culprit::Base;
    }
    let old: Vec<&BuildStep> = old_steps.iter().map(|&step| &before.0.steps[step]).collect();
    for (place, &step) in new_steps.iter().enumerate() {
        let now = &after.0.steps[step];
        if old.get(place).is_some_and(|then| then.layer == now.layer) {
            continue;
        }
        // A step of the same number with another text, whose own text is found elsewhere below, was moved up.
        let at = old.iter().position(|then| then.head.instruction == now.head.instruction);
        if at.is_some_and(|at| at > place) {
            return Culprit::Removed { instruction: old[place].head.instruction.clone() };
        }
        let new = at.is_none() && old.len() < new_steps.len();
        return Culprit::Step {
            step: step + 1,
            instruction: now.head.instruction.clone(),
            line: now.head.line,
            new,
        };
    }
    match old.get(new_steps.len()) {
        Some(gone) => Culprit::Removed { instruction: gone.head.instruction.clone() },
        None => Culprit::Unknown,
    }
}
