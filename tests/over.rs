//! Layers that are little over an earlier one: what changed among many files.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Sandbox;

const FILES: usize = 700;
const DOCKERFILE: &str = "FROM busybox\nCOPY src /src\n";

/// A context with many files, copied once as the image `first`.
fn copied(sandbox: &Sandbox) {
    for number in 0..FILES {
        sandbox.write(&format!("src/d{}/f{number}", number % 20), format!("{number}\n").repeat(120));
    }
    std::os::unix::fs::symlink("d1", sandbox.work().join("src/link")).expect("a link");
    sandbox.build(DOCKERFILE, &["-t", "first"]).succeeded();
}

/// Changes a file, adds one with a folder of its own, and changes a mode.
fn change(sandbox: &Sandbox) {
    sandbox.write("src/d3/f3", "changed");
    sandbox.write("src/d3/more/new", "new");
    let mut command = Command::new("chmod");
    assert!(command.arg("600").arg(sandbox.path("src/d4/f4")).status().expect("chmod starts").success());
}

/// The folders of layers that are over others.
fn parts(sandbox: &Sandbox) -> Vec<PathBuf> {
    let layers = std::fs::read_dir(sandbox.store().join("v1/layers")).expect("layers");
    let parts = layers.map(|layer| layer.expect("a layer").path().join("part"));
    parts.filter(|part| part.is_dir()).collect()
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

fn diff_ids(sandbox: &Sandbox, image: &str) -> String {
    sandbox.rbuild(&["inspect", "-f", "{{json .RootFS.Layers}}", image]).succeeded().stdout
}

/// The DiffIDs of what a store makes of the same context that has never seen another.
fn made_afresh(sandbox: &Sandbox, dockerfile: &str) -> String {
    let fresh = Sandbox::with_busybox();
    for name in std::fs::read_dir(sandbox.work()).expect("a context") {
        let mut cp = Command::new("cp");
        cp.arg("-a").arg(name.expect("an entry").path()).arg(fresh.work());
        assert!(cp.status().expect("cp starts").success());
    }
    fresh.build(dockerfile, &["-t", "afresh"]).succeeded();
    assert_eq!(parts(&fresh).len(), 0);
    diff_ids(&fresh, "afresh")
}

#[test]
fn one_change_among_many_files_makes_a_small_layer_and_the_same_image() {
    let sandbox = Sandbox::with_busybox();
    copied(&sandbox);
    change(&sandbox);
    sandbox.build(DOCKERFILE, &["-t", "second"]).succeeded();
    let [part] = &parts(&sandbox)[..] else { panic!("{:?}", parts(&sandbox)) };
    assert_eq!(files(part), 3);
    assert_eq!(diff_ids(&sandbox, "second"), made_afresh(&sandbox, DOCKERFILE));
    // Whatever reads the layer sees all of it.
    let diff = sandbox.rbuild(&["diff", "first", "second"]).succeeded().stdout;
    for path in ["src/d3/f3", "src/d3/more/new", "src/d4/f4"] {
        assert!(diff.contains(path), "{diff}");
    }
    assert!(!diff.contains("src/d5"), "{diff}");
    sandbox.rbuild(&["fsck"]).succeeded();
    let from = "FROM second AS made\nFROM scratch\nCOPY --from=made /src /copy\n";
    sandbox.build(from, &["-t", "copied"]).succeeded();
    sandbox
        .build(&format!("{DOCKERFILE}FROM scratch\nCOPY --from=0 /src /copy\n"), &["-t", "again"])
        .succeeded();
    assert_eq!(diff_ids(&sandbox, "copied"), diff_ids(&sandbox, "again"));
    let whole = Sandbox::new();
    let archive = sandbox.rbuild(&["save", "second"]).succeeded().bytes;
    whole.rbuild_with_input(&["load", "-q"], &archive).succeeded();
    assert_eq!(diff_ids(&whole, "second"), diff_ids(&sandbox, "second"));
    // It needs the layer that it is over, and no longer than it is there.
    sandbox.rbuild(&["rmi", "first", "copied", "again"]).succeeded();
    sandbox.rbuild(&["cache", "prune", "-af"]).succeeded();
    assert!(sandbox.rbuild(&["save", "second"]).succeeded().bytes == archive, "the same archive");
    let facts = sandbox.rbuild(&["system", "df", "-v", "--format", "json"]).succeeded().stdout;
    let facts: serde_json::Value = serde_json::from_str(&facts).expect("JSON");
    let free = |item: &&serde_json::Value| item["NeededBy"].as_array().is_some_and(Vec::is_empty);
    let copies = facts["BuildCache"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|item| item["Description"].as_str().is_some_and(|text| text.starts_with("COPY src")));
    assert_eq!(copies.filter(free).count(), 0, "{facts}");
    sandbox.rbuild(&["fsck"]).succeeded();
    sandbox.rbuild(&["rmi", "second"]).succeeded();
    sandbox.rbuild(&["system", "prune", "-af"]).succeeded();
    assert_eq!(std::fs::read_dir(sandbox.store().join("v1/layers")).expect("layers").count(), 0);
}

#[test]
fn a_stage_that_is_in_no_image_is_copied_so_too() {
    let sandbox = Sandbox::with_busybox();
    let dockerfile = format!("{DOCKERFILE}FROM scratch\nCOPY --from=0 /src/d3 /\n");
    copied(&sandbox);
    sandbox.build(&dockerfile, &["-t", "first"]).succeeded();
    sandbox.rbuild(&["cache", "prune", "-af"]).succeeded();
    sandbox.rbuild(&["rmi", "first"]).succeeded();
    sandbox.build(&dockerfile, &["-t", "first"]).succeeded();
    change(&sandbox);
    sandbox.build(&dockerfile, &["-t", "second"]).succeeded();
    assert!(!parts(&sandbox).is_empty());
    assert_eq!(diff_ids(&sandbox, "second"), made_afresh(&sandbox, &dockerfile));
}

#[test]
fn containers_see_the_whole_layer() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    copied(&sandbox);
    change(&sandbox);
    let run = "RUN find src -type f | wc -l > /count && cat src/d3/f3 > /changed && rm -r src/d7 && echo x >> src/d8/f8\n";
    sandbox.build(&format!("{DOCKERFILE}{run}"), &["-t", "second"]).succeeded();
    assert_eq!(parts(&sandbox).len(), 1);
    let show = "cat /count /changed; echo; ls /src/d7 2>&1; find /src -type f | wc -l; stat -c %a /src/d4/f4";
    let out = sandbox.rbuild(&["run", "--rm", "second", "sh", "-c", show]).succeeded().stdout;
    let (all, left) = (FILES + 1, FILES + 1 - FILES / 20);
    assert_eq!(out, format!("{all}\nchanged\nls: /src/d7: No such file or directory\n{left}\n600\n"));
}

#[test]
fn where_something_is_gone_or_lies_below_the_layer_is_whole() {
    let sandbox = Sandbox::with_busybox();
    copied(&sandbox);
    let is_whole = |dockerfile: &str, why: &str| {
        sandbox.build(dockerfile, &["-t", "next"]).succeeded();
        assert_eq!(parts(&sandbox).len(), 0, "{why}");
        assert_eq!(diff_ids(&sandbox, "next"), made_afresh(&sandbox, dockerfile), "{why}");
    };
    let file = sandbox.work().join("src/d5/f5");
    std::fs::remove_file(&file).expect("a file");
    is_whole(DOCKERFILE, "a file is gone");
    std::fs::create_dir(&file).expect("a folder");
    sandbox.write("src/d5/f5/inside", "1");
    std::fs::remove_file(sandbox.work().join("src/d6/f6")).expect("a file");
    is_whole(DOCKERFILE, "a file became a folder");
    sandbox.write("below/d7/f7", "another");
    let onto = "FROM busybox AS below\nCOPY below /src\nFROM below\nCOPY src /src\n";
    sandbox.build(onto, &["-t", "next"]).succeeded();
    sandbox.write("src/d8/f8", "changed");
    is_whole(onto, "a file lies below");
}

#[test]
fn it_is_whole_in_a_store_that_was_copied_or_lies_below() {
    let sandbox = Sandbox::with_busybox();
    copied(&sandbox);
    change(&sandbox);
    sandbox.build(DOCKERFILE, &["-t", "second"]).succeeded();
    let archive = sandbox.rbuild(&["save", "second"]).succeeded().bytes;
    let (copy, above) = (Sandbox::new(), Sandbox::new());
    let mut cp = Command::new("cp");
    assert!(cp.arg("-a").arg(sandbox.store()).arg(copy.store()).status().expect("cp starts").success());
    let folder = copy.store();
    let lower = ["--store-lower", folder.to_str().expect("text")];
    assert!(
        above.rbuild(&[&lower[..], &["save", "second"]].concat()).succeeded().bytes == archive,
        "from below"
    );
    assert!(copy.rbuild(&["save", "second"]).succeeded().bytes == archive, "copied");
    copy.rbuild(&["fsck"]).succeeded();
    // Without the layer that it is over it is not there, and is made again.
    let base = std::fs::read_to_string(parts(&copy)[0].with_file_name("meta.json")).expect("a file");
    let base: serde_json::Value = serde_json::from_str(&base).expect("JSON");
    let base = base["over"]["layer"].as_str().expect("a layer").to_owned();
    std::fs::remove_dir_all(copy.store().join("v1/layers").join(base)).expect("a layer");
    copy.rbuild(&["save", "second"]).ended_with(1);
    sandbox.write("Dockerfile", DOCKERFILE);
    let work = sandbox.work();
    let built = copy.rbuild(&["build", "-t", "second", work.to_str().expect("text")]);
    built.succeeded();
    assert_eq!(parts(&copy).len(), 0);
    assert_eq!(diff_ids(&copy, "second"), diff_ids(&sandbox, "second"));
}
