//! Real containers of a busybox image in a real store. The binary is its own sandbox init, so it has its own `main`.
//!
//! Each test runs its container in a process of its own, as `rbuild run` does: this binary again, with the word
//! `run` and the settings as JSON. `container [FILTER]` runs the tests whose names contain FILTER; `container --measure
//! N` prints how long N whole runs of `true` take.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test without a harness"
)]

mod ends;
mod lives;
mod support;

use std::process::ExitCode;

use support::Ground;

/// A test: its name and what it does with a fresh store that has the image.
type Test = (&'static str, fn(&Ground));

fn main() -> ExitCode {
    rbuild_runtime::sandbox::dispatch();
    if let Err(error) = rbuild_runtime::rootless::ensure_user_namespace() {
        println!("SKIP container tests: {error}");
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", store, settings, config] => return support::run(store, settings, config),
        ["--measure", count] => return support::measure(count.parse().unwrap()),
        ["interrupts"] => return ends::be_interrupted(),
        _ => {}
    }
    let filter = arguments.into_iter().find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut failed = 0;
    for (name, test) in lives::TESTS.iter().chain(ends::TESTS).filter(|(name, _)| name.contains(&filter)) {
        let Some(ground) = Ground::new() else {
            println!("SKIP container tests: there is no busybox image");
            return ExitCode::SUCCESS;
        };
        let outcome = std::panic::catch_unwind(|| test(&ground));
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed += usize::from(outcome.is_err());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
