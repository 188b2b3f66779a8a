//! Real sandboxes with a busybox rootfs. The binary is its own sandbox init, so it has its own `main`.
//!
//! `sandbox [FILTER]` runs the tests whose names contain FILTER; `sandbox --measure N` prints how long N starts
//! take.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test without a harness")]

mod behaviour;
mod failures;
mod standby;
mod support;
mod terminal;

use std::process::ExitCode;

use support::Rootfs;

/// A test: its name and what it does with a fresh rootfs.
type Test = (&'static str, fn(&Rootfs));

fn main() -> ExitCode {
    rbuild_runtime::sandbox::dispatch();
    if let Err(error) = rbuild_runtime::rootless::ensure_user_namespace() {
        println!("SKIP sandbox tests: {error}");
        return ExitCode::SUCCESS;
    }
    let Some(base) = support::base() else {
        println!("SKIP sandbox tests: there is no busybox image");
        return ExitCode::SUCCESS;
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, count] = arguments.as_slice()
        && option == "--measure"
    {
        support::measure(&base, count.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let filter = arguments.into_iter().find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let tests = behaviour::TESTS.iter().chain(failures::TESTS).chain(standby::TESTS).chain(terminal::TESTS);
    let mut failed = 0;
    for (name, test) in tests.filter(|(name, _)| name.contains(&filter)) {
        let rootfs = Rootfs::new(&base);
        let outcome = std::panic::catch_unwind(|| test(&rootfs));
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed += usize::from(outcome.is_err());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
