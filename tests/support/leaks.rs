//! What rbuild must not leave behind.

use std::path::Path;
use std::time::{Duration, Instant};

/// Fails the test if a mount, a process or a temporary file of the sandbox is left.
pub(super) fn check(dir: &Path, store: &Path) {
    let name = dir.to_string_lossy();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let left: Vec<_> = mounts.lines().filter(|l| l.contains(&*name)).collect();
    assert!(left.is_empty(), "mounts left: {left:#?}");

    let deadline = Instant::now() + Duration::from_secs(2);
    let mut processes = processes_of(&name);
    while !processes.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
        processes = processes_of(&name);
    }
    assert!(processes.is_empty(), "processes left: {processes:#?}");

    for tmp in temporary_folders(store) {
        let left: Vec<_> =
            std::fs::read_dir(&tmp).into_iter().flatten().flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "temporary files left: {left:#?}");
    }
}

/// Running processes that know the sandbox's folder by their environment or arguments, or live in it.
fn processes_of(name: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let text = |file: &str| {
            String::from_utf8_lossy(&std::fs::read(entry.path().join(file)).unwrap_or_default()).into_owned()
        };
        let link = |file: &str| std::fs::read_link(entry.path().join(file)).unwrap_or_default();
        let lives_there = ["cwd", "root"].iter().any(|l| link(l).to_string_lossy().contains(name));
        if lives_there || text("environ").contains(name) || text("cmdline").contains(name) {
            found.push(format!("{pid} {}", text("cmdline").replace('\0', " ")));
        }
    }
    found
}

fn temporary_folders(store: &Path) -> Vec<std::path::PathBuf> {
    let versions = std::fs::read_dir(store).into_iter().flatten().flatten();
    versions.map(|v| v.path().join("tmp")).filter(|t| t.is_dir()).collect()
}
