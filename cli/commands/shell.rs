//! `rbuild shell`: a shell where a step failed.

use rbuild_builder::failed::{self, Kept, Program};
use rbuild_image::store::Store;
use rbuild_runtime::{container, signals};

use crate::args::ShellArgs;
use crate::exit::{Exit, Failure, Outcome, chain};
use crate::ui;

/// Characters of a step's title that say which it is.
const TITLE: usize = 60;

/// Opens a shell, or runs a program, in the files and the environment of a kept failed step.
pub(crate) fn run(args: &ShellArgs, store: &Store, terminal: bool) -> Outcome {
    let mut words = args.step_and_command.iter().cloned();
    let target = words.next().unwrap_or_else(|| "last".to_owned());
    let (build, number) = match target.split_once(':') {
        Some((build, number)) => {
            let number = number.parse().map_err(|_| Failure::usage(format!("{number:?} is no step")))?;
            (build.to_owned(), Some(number))
        }
        None => (target.clone(), None),
    };
    let kept = failed::find(store, &build, number)?.ok_or_else(|| {
        Failure::new(format!("no failed step is kept for {target:?}"))
            .with_hint("a step that succeeded can be run: rbuild run -it step:N sh")
    })?;
    let argv: Vec<String> = words.collect();
    let program = if argv.is_empty() { Program::Shell } else { Program::Argv(argv) };
    enter(&kept, program, store, terminal)
}

/// Runs a program in a kept failed step, with our own streams.
pub(super) fn enter(kept: &Kept, program: Program, store: &Store, terminal: bool) -> Outcome {
    if terminal && program == Program::Shell {
        let title: String = kept.title.chars().take(TITLE).collect();
        ui::note(&format!("In {title}, which failed. What you change stays until the next build.\n"));
    }
    // Layers may have to prove themselves, which takes threads, and those must not take signals from the program.
    let entered = signals::shielded(|| failed::enter(store, kept, program, terminal))??;
    let code = container::foreground(&entered.spec).map_err(|error| {
        let code = u8::try_from(error.exit_code()).unwrap_or(u8::MAX);
        Failure::new(chain(&error)).with_code(code)
    })?;
    Ok(Exit::program(code))
}
