//! `--store-lower`, and stores that were copied.

use std::path::Path;
use std::process::Command;

use crate::support::Sandbox;

const DOCKERFILE: &str = "FROM busybox\nCOPY file /file\nWORKDIR /made\n";

/// A store with `busybox`, and the image `x` with two layers more.
fn full() -> Sandbox {
    let sandbox = Sandbox::with_busybox();
    sandbox.write("file", "content");
    sandbox.build(DOCKERFILE, &["-t", "x"]).succeeded();
    sandbox
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are text")
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn everything_in_a_lower_store_is_found_and_nothing_is_written() {
    let (below, above) = (full(), Sandbox::new());
    let before = below.store_listing();
    let folder = below.store();
    let over = |args: &[&str]| above.rbuild(&[&["--store-lower", text(&folder)], args].concat());
    let names = ["images", "--format", "{{.Repository}}"];
    assert_eq!(over(&names).succeeded().stdout, below.rbuild(&names).succeeded().stdout);
    above.write("file", "content");
    above.write("Dockerfile", format!("{DOCKERFILE}COPY file /more\n"));
    let steps = over(&["build", "-t", "y", "--progress=json", "."]).succeeded().steps();
    let statuses: Vec<&str> = steps.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(statuses, ["cached", "cached", "done"]);
    assert_eq!(entries(&above.store().join("v1/layers")), 1, "the others are used where they lie");
    // What leaves the two stores is what one store would have given.
    let x = below.rbuild(&["save", "x"]).succeeded().bytes;
    assert!(over(&["save", "x"]).succeeded().bytes == x, "the same archive");
    let whole = Sandbox::new();
    whole.rbuild_with_input(&["load", "-q"], &over(&["save", "y"]).succeeded().bytes).succeeded();
    let id = |sandbox: &Sandbox, args: &[&str]| {
        let args = [args, &["inspect", "-f", "{{.Id}}", "y"]].concat();
        sandbox.rbuild(&args).succeeded().stdout
    };
    assert_eq!(id(&whole, &[]), id(&above, &["--store-lower", text(&folder)]));
    // What is below stays: it has other users.
    over(&["rmi", "x"]).ended_with(1).saying("lower store");
    over(&["tag", "x", "mine"]).succeeded();
    over(&["rmi", "mine"]).succeeded().printing("Untagged: mine:latest\n");
    over(&["fsck"]).succeeded();
    over(&["system", "prune", "-af"]).succeeded();
    over(&["inspect", "x"]).succeeded();
    over(&["inspect", "y"]).ended_with(1);
    assert_eq!(below.store_listing(), before);
    let nowhere = above.path("nowhere");
    above.rbuild(&["--store-lower", &nowhere, "images"]).ended_with(1).saying("there is no store in");
    let mut command = above.command(&["inspect", "-f", "{{.RepoTags}}", "x"]);
    command.env("RBUILD_STORE_LOWER", &folder);
    assert!(command.output().expect("rbuild starts").status.success());
}

#[test]
fn containers_stand_on_a_lower_store() {
    let Some(below) = Sandbox::with_containers() else { return };
    let above = Sandbox::new();
    let folder = below.store();
    let over = |args: &[&str]| above.rbuild(&[&["--store-lower", text(&folder)], args].concat());
    over(&["run", "--rm", "busybox", "echo", "hello"]).succeeded().printing("hello\n");
    above.write("Dockerfile", "FROM busybox\nRUN echo 1 > /made && rm /bin/busybox.missing || true\n");
    over(&["build", "-t", "y", "."]).succeeded();
    over(&["run", "--rm", "y", "cat", "/made"]).succeeded().printing("1\n");
    assert_eq!(entries(&above.store().join("v1/layers")), 1);
}

#[test]
fn a_store_that_was_copied_works_elsewhere() {
    let sandbox = full();
    let copy = Sandbox::new();
    let mut cp = Command::new("cp");
    assert!(cp.arg("-a").arg(sandbox.store()).arg(copy.store()).status().expect("cp starts").success());
    // As if the machine had been started anew since.
    for layer in std::fs::read_dir(copy.store().join("v1/layers")).expect("layers") {
        let meta = layer.expect("a layer").path().join("meta.json");
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("the boot");
        let json = std::fs::read_to_string(&meta).expect("a file");
        std::fs::write(&meta, json.replace(boot.trim(), "another boot")).expect("a file");
    }
    drop(sandbox);
    copy.rbuild(&["fsck"]).succeeded();
    copy.write("file", "content");
    let steps = copy.build(DOCKERFILE, &["-t", "x", "--progress=json"]).succeeded().steps();
    assert!(steps.iter().all(|(_, status)| status == "cached"), "{steps:?}");
}
