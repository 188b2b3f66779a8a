//! The `rbuild` program.
//!
//! The command line: arguments in, exit code out. It is the only part of rbuild that prints, reads the
//! environment or knows about terminals. [`args`] is what was typed, [`settings`] what is meant, [`commands`]
//! does it, one file a command; [`format`](mod@format) and [`ui`] are what people see, [`exit`] how it ends.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod exit;
mod format;
mod settings;
mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::exit::{Exit, FAILURE, USAGE};
use crate::settings::Environment;
use crate::ui::Style;

/// Walking and planning a copy takes many small pieces of memory on several threads, where the C library's own allocator
/// costs a fifth of a warm build.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // In the first process of a sandbox this does not return.
    rbuild_runtime::sandbox::dispatch();
    rbuild_runtime::limits::raise_open_files();
    let mut environment = Environment::of_process();
    let style = Style::new(environment.colored_errors());
    let typed: Vec<OsString> = std::env::args_os().collect();
    let typed = args::with_default_command(typed, |path| std::path::Path::new(path).exists());
    let parsed = args::command().try_get_matches_from(typed).and_then(|m| Cli::from_arg_matches(&m));
    let outcome = match parsed {
        Ok(cli) => {
            if let Some(lower) = cli.store_lower {
                environment.set("RBUILD_STORE_LOWER", lower);
            }
            commands::run(cli.command, &environment, style)
        }
        Err(error) => return usage(&error).into(),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            ui::complain(&failure, style);
            Exit(failure.code).into()
        }
    }
}

/// Prints help or a complaint about the arguments, and finds docker's code for it.
fn usage(error: &clap::Error) -> Exit {
    // Nobody is left to be told that the stream is gone.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::OK,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::TooFewValues
        | ErrorKind::MissingSubcommand
        | ErrorKind::InvalidSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Exit(FAILURE),
        _ => Exit(USAGE),
    }
}
