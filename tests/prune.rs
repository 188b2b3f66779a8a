//! `system df`, `system prune`, `image prune` and `fsck`.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::Sandbox;

const DOCKERFILE: &str = "FROM busybox\nCOPY file /file\n";

/// A store with `busybox`, and the image `x` with a layer more.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_busybox();
    sandbox.write("file", "content");
    sandbox.build(DOCKERFILE, &["-t", "x"]).succeeded();
    sandbox
}

fn layers(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(sandbox.store().join("v1/layers")).expect("layers");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn is_cached(sandbox: &Sandbox) -> bool {
    let built = sandbox.build(DOCKERFILE, &["-t", "x", "--progress=json"]).succeeded();
    built.steps() == [("COPY file /file".to_owned(), "cached".to_owned())]
}

#[test]
fn df_adds_up() {
    let sandbox = sandbox();
    let rows = sandbox.rbuild(&["system", "df", "--format", "json"]).succeeded().stdout;
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<&str> = rows.iter().filter_map(|row| row["Type"].as_str()).collect();
    assert_eq!(kinds, ["Images", "Containers", "Local Volumes", "Build Cache"]);
    assert_eq!(rows[0]["TotalCount"], "2");
    let bytes = |text: &str| {
        let digits = text.trim_end_matches(char::is_alphabetic);
        let factor = match &text[digits.len()..] {
            "B" => 1.0,
            "kB" => 1e3,
            "MB" => 1e6,
            other => panic!("{other}"),
        };
        digits.parse::<f64>().expect("a number") * factor
    };
    let sum: f64 = rows.iter().map(|row| bytes(row["Size"].as_str().expect("text"))).sum();
    let mut du = std::process::Command::new("du");
    let du =
        du.args(["-s", "--block-size=1"]).arg(sandbox.store().join("v1")).output().expect("du starts").stdout;
    let du = String::from_utf8_lossy(&du).split_whitespace().next().expect("a number").parse::<f64>();
    let du = du.expect("a number");
    // Four digits of each size are shown; a lease and a lock may come and go.
    assert!((sum - du).abs() < du * 0.01 + 8192.0, "{sum} and {du}: {rows:#?}");
    let details = sandbox.rbuild(&["system", "df", "-v"]).succeeded().stdout;
    for title in ["Images space usage:", "Containers space usage:", "x:latest", "Build cache usage:"] {
        assert!(details.contains(title), "{title}\n{details}");
    }
}

#[test]
fn what_is_needed_is_not_pruned() {
    let sandbox = sandbox();
    let before = layers(&sandbox).len();
    sandbox.rbuild(&["system", "prune", "-f"]).succeeded();
    assert_eq!(layers(&sandbox).len(), before);
    // The cache alone keeps layers, too.
    sandbox.rbuild(&["rmi", "x"]).succeeded();
    sandbox.rbuild(&["system", "prune", "--force"]).succeeded();
    assert!(is_cached(&sandbox));
    sandbox.rbuild_with_input(&["system", "prune", "-a"], b"n\n").succeeded().saying("all build cache");
    assert!(is_cached(&sandbox), "n means no");
    sandbox.rbuild(&["system", "prune", "-a", "-f"]).succeeded();
    assert!(layers(&sandbox).is_empty());
    sandbox.rbuild(&["images", "-q"]).succeeded().printing("");
    sandbox.rbuild(&["fsck"]).succeeded();
}

#[test]
fn containers_keep_their_image() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.rbuild(&["run", "--name", "kept", "busybox", "true"]).succeeded();
    sandbox.rbuild(&["run", "--name", "kept", "busybox", "true"]).ended_with(125).saying("already in use");
    sandbox.rbuild(&["image", "prune", "-af"]).succeeded();
    sandbox.rbuild(&["run", "--rm", "busybox", "true"]).succeeded();
    sandbox.rbuild(&["system", "prune", "-af"]).succeeded();
    sandbox.rbuild(&["run", "--rm", "busybox", "true"]).ended_with(125).saying("Unable to find image");
}

#[test]
fn fsck_finds_and_removes_what_is_broken() {
    let sandbox = sandbox();
    sandbox.rbuild(&["fsck"]).succeeded().printing("the store is healthy\n");
    let of_x = layers(&sandbox).into_iter().map(|layer| layer.join("fs/file")).find(|file| file.exists());
    std::fs::write(of_x.expect("the layer of x"), "CONTENT").expect("it can be written");
    let found = sandbox.rbuild(&["fsck"]).ended_with(1).stdout;
    assert!(found.contains("are not those that were stored"), "{found}");
    sandbox.rbuild(&["fsck", "--repair"]).succeeded();
    sandbox.rbuild(&["fsck"]).succeeded().printing("the store is healthy\n");
    // The image that needed the layer is gone, the other is not, and the step is made again.
    let names = sandbox.rbuild(&["images", "--format", "{{.Repository}}"]).succeeded().stdout;
    assert_eq!(names, "busybox\n");
    assert!(!is_cached(&sandbox));
}
