//! All cases, side by side.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::case::Case;
use super::image::Image;
use super::runner::{Verdict, run};
use crate::support::{BUSYBOX, Sandbox};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/conformance/cases");

/// Names of cases, by blanks: only these are run.
const ONLY: &str = "RBUILD_CASES";

/// Lines of differences that are shown of a case.
const SHOWN: usize = 25;

#[test]
fn builds_what_buildkit_builds() {
    let only = std::env::var(ONLY).unwrap_or_default();
    let only: Vec<&str> = only.split_whitespace().collect();
    let mut cases = Case::all(Path::new(CASES));
    cases.retain(|case| only.is_empty() || only.contains(&case.name.as_str()));
    assert!(!cases.is_empty(), "{ONLY} names no case");
    let Some(shared) = Sandbox::with_containers() else { return };
    let base = Image::read(Path::new(BUSYBOX)).expect("the base image");
    // Sequences take longest: they are not left for the end.
    cases.sort_by_key(|case| !case.has_own_store());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match verdict(case, &shared, &base) {
                        Verdict::Passed => {}
                        Verdict::Skipped(reason) => eprintln!("SKIP {}: {reason}", case.name),
                        Verdict::Failed(lines) => {
                            failed.lock().expect("no thread panics").push(report(case, &lines));
                        }
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("no thread panics");
    failed.sort();
    let (bad, all) = (failed.len(), cases.len());
    assert!(failed.is_empty(), "{bad} of {all} cases failed\n{}", failed.concat());
}

/// Runs the case; a panic is a failure like any other.
fn verdict(case: &Case, shared: &Sandbox, base: &Image) -> Verdict {
    if case.is_tagged("needs-root") && !is_root() {
        return Verdict::Skipped("needs root".into());
    }
    let work = || {
        let dir = |sandbox: &Sandbox| sandbox.work().join(&case.name);
        if !case.has_own_store() {
            let verdict = run(case, shared, base, dir(shared));
            // A folder that cannot be removed is in nobody's way until the sandbox goes.
            let _ = std::fs::remove_dir_all(dir(shared));
            return verdict;
        }
        let own = Sandbox::with_busybox();
        run(case, &own, base, dir(&own))
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("it panicked", String::as_str);
        Verdict::Failed(vec![text.to_owned()])
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn report(case: &Case, lines: &[String]) -> String {
    let mut text = format!("FAIL {}: {}\n", case.name, case.summary());
    for line in lines.iter().take(SHOWN) {
        text += &format!("    {line}\n");
    }
    if lines.len() > SHOWN {
        text += &format!("    … and {} more\n", lines.len() - SHOWN);
    }
    text
}
