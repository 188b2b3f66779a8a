//! `rbuild fsck`.

use rbuild_image::store::Store;

use crate::args::FsckArgs;
use crate::exit::{Exit, FAILURE, Outcome};
use crate::ui;

/// Checks the store; exit code 1 if something is broken and stays so.
pub(crate) fn run(args: &FsckArgs, store: &Store) -> Outcome {
    let mut problems = store.fsck()?;
    if problems.is_empty() {
        ui::print("the store is healthy\n")?;
        return Ok(Exit::OK);
    }
    while !problems.is_empty() {
        let mut removed = false;
        for problem in &problems {
            let repaired = args.repair && store.repair(problem)?;
            ui::print(&format!("{problem}{}\n", if repaired { " (removed)" } else { "" }))?;
            removed |= repaired;
        }
        if !removed {
            return Ok(Exit(FAILURE));
        }
        // What needed something that is gone now is broken in its turn.
        problems = store.fsck()?;
    }
    Ok(Exit::OK)
}
