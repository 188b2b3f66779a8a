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
                // Each step begins a line, whatever the one before has ended with.
                if show(step, store)? != Some(b'\n') {
                    ui::print("\n")?;
                }
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
    if step.log { show(step, store).map(drop) } else { Ok(()) }
}

/// Prints a step's output, and says which byte was the last.
fn show(step: &BuildStep, store: &Store) -> Result<Option<u8>, Failure> {
    let (mut stopped, mut last) = (None, None);
    let shown = step.replay(store, &mut |bytes| {
        last = bytes.last().copied().or(last);
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
        (Ok(()), _) => Ok(last),
    }
}
