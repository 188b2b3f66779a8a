//! Programs that do not start.

use rbuild_runtime::sandbox::{MountSource, SpawnError, Spec};

use super::Test;
use super::support::{Rootfs, mount};

pub(crate) const TESTS: &[Test] = &[
    ("missing_programs", missing_programs),
    ("unusable_programs", unusable_programs),
    ("bad_specs", bad_specs),
];

fn failure(rootfs: &Rootfs, spec: &Spec) -> SpawnError {
    match rootfs.run(spec) {
        Err(error) => error,
        Ok(outcome) => panic!("it ran: {outcome:?}"),
    }
}

fn missing_programs(rootfs: &Rootfs) {
    let table = [
        ("/no/such/program", "cannot run /no/such/program: no such file or directory"),
        ("nothing", "cannot run nothing: executable file not found in $PATH"),
    ];
    for (program, message) in table {
        let error = failure(rootfs, &rootfs.spec(&[program, "x"]));
        assert_eq!((error.to_string().as_str(), error.exit_code()), (message, 127));
    }
    assert!(!rootfs.upper("etc/hosts").exists(), "the stubs of a failed start are removed too");
}

fn unusable_programs(rootfs: &Rootfs) {
    std::fs::write(rootfs.upper("plain"), "no program").unwrap();
    let error = failure(rootfs, &rootfs.spec(&["/plain"]));
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("cannot run /plain: Permission denied (os error 13)", 126)
    );
    let error = failure(rootfs, &rootfs.spec(&["/tmp"]));
    assert_eq!(error.exit_code(), 126);
}

fn bad_specs(rootfs: &Rootfs) {
    let user = Spec { user: "nobody-here".to_owned(), ..rootfs.spec(&["true"]) };
    assert_eq!(
        failure(rootfs, &user).to_string(),
        "unable to find user nobody-here: no matching entries in passwd file"
    );
    let mut missing = rootfs.spec(&["true"]);
    missing.mounts.push(mount("/x", MountSource::Bind("/no/such/source".into()), false));
    assert_eq!(
        failure(rootfs, &missing).to_string(),
        "cannot mount /no/such/source at /x: No such file or directory (os error 2)"
    );
    let mut root = rootfs.spec(&["true"]);
    root.mounts.push(mount("/x/..", MountSource::Tmpfs { size: None, mode: 0o755 }, false));
    assert_eq!(failure(rootfs, &root).to_string(), "invalid mount target \"/x/..\"");
    let empty = Spec { argv: Vec::new(), ..rootfs.spec(&[]) };
    assert_eq!(failure(rootfs, &empty).to_string(), "no program was given");
}
