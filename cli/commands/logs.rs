//! `rbuild logs`: what the steps of a build wrote.

use rbuild_builder::explain::{BuildRecord, BuildStep};
use rbuild_image::store::Store;

use super::explain::build;
use crate::args::LogsArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui;

/// Prints kept output, as it came, to the byte.
pub(crate) fn run(args: &LogsArgs, store: &Store) -> Outcome {
    let build = build(store, &args.build)?;
    match args.step {
        Some(number) => one(&build, number, store)?,
        None => {
            for (index, step) in build.steps.iter().enumerate().filter(|(_, step)| step.log) {
                ui::print(&format!("#{} {}\n", index + 1, step.head.instruction))?;
                show(step, store)?;
            }
        }
    }
    Ok(Exit::OK)
}

fn one(build: &BuildRecord, number: usize, store: &Store) -> Result<(), Failure> {
    let step = number.checked_sub(1).and_then(|index| build.steps.get(index)).ok_or_else(|| {
        Failure::new(format!("build {} has no step {number}, but {}", build.id, build.steps.len()))
    })?;
    // A step without a word has an empty log.
    if step.log { show(step, store) } else { Ok(()) }
}

fn show(step: &BuildStep, store: &Store) -> Result<(), Failure> {
    let mut stopped = None;
    let shown = step.replay(store, &mut |bytes| {
        ui::print_raw(bytes).map_err(|failure| {
            stopped = Some(failure);
            std::io::Error::from(std::io::ErrorKind::BrokenPipe)
        })
    });
    match (shown, stopped) {
        (Err(_), Some(failure)) => Err(failure),
        (Err(cause), None) => {
            Err(Failure::new(format!("read the output of {:?}: {cause}", step.head.instruction)))
        }
        (Ok(()), _) => Ok(()),
    }
}
