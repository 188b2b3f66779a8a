//! Which earlier step made a parent differ.

use rbuild_image::digest::LayerId;

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

/// The files of a folder that is a base.
fn folder(build: &BuildRecord, base: &Parent) -> Option<LayerId> {
    match base {
        Parent::Folder(name) => build.folders.get(name).copied(),
        _ => None,
    }
}

/// What a build stood on, by its name and the beginning of its ID.
fn named(build: &BuildRecord, base: &Parent) -> String {
    let short = |id: &[u8]| id.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>();
    match base {
        Parent::Scratch => "scratch".to_owned(),
        Parent::Step(number) => format!("step {}", number + 1),
        Parent::Folder(name) => match folder(build, base) {
            Some(layer) => format!("context {name} ({})", short(&layer.0)),
            None => format!("context {name}"),
        },
        Parent::Image(id) => {
            let name = build.recipe.as_ref().and_then(|recipe| recipe.name_of(*id));
            format!("{} ({})", name.unwrap_or("image"), short(&id.0.0))
        }
    }
}

/// The lowest difference between what two steps stand on.
pub(super) fn culprit(before: (&BuildRecord, usize), after: (&BuildRecord, usize)) -> Culprit {
    let (old_steps, old_base) = below(before.0, before.1);
    let (new_steps, new_base) = below(after.0, after.1);
    if old_base != new_base || folder(before.0, old_base) != folder(after.0, new_base) {
        return Culprit::Base { from: named(before.0, old_base), to: named(after.0, new_base) };
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
