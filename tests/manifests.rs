//! Manifests: kept as they came, and put together to lists.

use std::process::Command;

use serde_json::Value;

use crate::support::registry::Registry;
use crate::support::{Outcome, Sandbox};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BOTH: &str = "linux/amd64,linux/arm64";
/// Needs no program of any platform.
const FILES: &str = "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\nCOPY Dockerfile /all\n";

/// Other bytes for the same document: an annotation, members in another order, everything on one line.
fn in_other_words(bytes: &[u8]) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(bytes).expect("JSON");
    document["annotations"]["test.words"] = "<other>".into();
    document["unknown"] = 1.into();
    let mut text = document.to_string();
    text.push_str("  \n");
    text.into_bytes()
}

/// The digest in the last line of a push.
fn digest(pushed: &Outcome) -> String {
    let at = pushed.stdout.rfind("digest: ").expect("a digest") + "digest: ".len();
    pushed.stdout[at..].split_whitespace().next().expect("a digest").to_owned()
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", rbuild_image::digest::Digest::of(bytes).hex())
}

/// The documents that a store keeps.
fn kept(sandbox: &Sandbox) -> usize {
    sandbox.store_listing().iter().filter(|path| path.starts_with("v1/manifests/")).count()
}

fn platforms(document: &[u8]) -> Vec<String> {
    let index: Value = serde_json::from_slice(document).expect("JSON");
    let part = |entry: &Value, name: &str| entry["platform"][name].as_str().unwrap_or("-").to_owned();
    let entries = index["manifests"].as_array().expect("an index");
    entries
        .iter()
        .map(|entry| format!("{} {}", part(entry, "architecture"), part(entry, "variant")))
        .collect()
}

#[test]
fn an_image_goes_out_with_the_manifest_that_it_came_with() {
    let (Some(registry), Some(other)) = (Registry::start(None), Registry::start(None)) else { return };
    let (plain, odd) = (format!("{}/app:plain", registry.address), format!("{}/app:odd", registry.address));
    let maker = Sandbox::new();
    maker.build(FILES, &["-t", &plain, "--push"]).succeeded();
    let bytes = in_other_words(&registry.manifest("app", "plain"));
    registry.put_manifest("app", "odd", OCI, &bytes);

    let sandbox = Sandbox::new();
    // Two manifests of one image: each name keeps its own.
    for name in [&odd, &plain] {
        sandbox.rbuild(&["pull", "-q", name]).succeeded();
    }
    assert_eq!(sandbox.rbuild(&["manifest", "inspect", "--raw", &odd]).succeeded().bytes, bytes);
    let copy = format!("{}/team/copy:1", other.address);
    sandbox.rbuild(&["tag", &odd, &copy]).succeeded();
    assert_eq!(digest(&sandbox.rbuild(&["push", &copy]).succeeded()), sha256(&bytes));
    assert_eq!(other.manifest("team/copy", "1"), bytes);
    let again = digest(&sandbox.rbuild(&["push", &plain]).succeeded());
    assert_eq!(again, sha256(&registry.manifest("app", "plain")));
    let known = sandbox.rbuild(&["inspect", "-f", "{{json .RepoDigests}}", &copy]).succeeded().stdout;
    for name in
        [format!("app@{}", sha256(&bytes)), format!("team/copy@{}", sha256(&bytes)), format!("app@{again}")]
    {
        assert!(known.contains(&name), "{name}: {known}");
    }
    let list = sandbox.rbuild(&["images", "--format", "{{.Tag}} {{.Digest}}"]).succeeded().stdout;
    assert!(
        list.contains(&format!("odd {}\n", sha256(&bytes))) && list.contains(&format!("plain {again}\n")),
        "{list}"
    );

    // Through a layout it comes back the same, and what was not asked for is another one.
    let (archive, third) = (sandbox.path("image.tar"), Sandbox::new());
    sandbox.rbuild(&["save", "--format", "oci", "-o", &archive, &odd]).succeeded();
    third.rbuild(&["load", "-i", &archive]).succeeded();
    third.rbuild(&["tag", &odd, &copy]).succeeded();
    assert_eq!(digest(&third.rbuild(&["push", &copy]).succeeded()), sha256(&bytes));
    sandbox.rbuild(&["save", "--thin", "--format", "oci", &odd]).ended_with(125);

    // With the image its manifests go.
    assert_eq!(kept(&sandbox), 2);
    sandbox.rbuild(&["rmi", &odd, &plain]).succeeded();
    sandbox.rbuild(&["fsck"]).succeeded();
    sandbox.rbuild(&["rmi", &copy]).succeeded();
    assert_eq!(kept(&sandbox), 0);
    third.rbuild(&["system", "prune", "-af"]).succeeded();
    assert_eq!(kept(&third), 0);
}

#[test]
fn layers_that_were_made_here_are_compressed_as_asked() {
    let Some(registry) = Registry::start(None) else { return };
    let name = format!("{}/app:1", registry.address);
    let sandbox = Sandbox::new();
    sandbox.build(FILES, &["-t", &name]).succeeded();
    let gzip = digest(&sandbox.rbuild(&["push", &name]).succeeded());
    sandbox.rbuild(&["pull", "-q", &name]).succeeded();
    let zstd = digest(&sandbox.rbuild(&["push", "--compression", "zstd", &name]).succeeded());
    assert_ne!(gzip, zstd);
    assert!(String::from_utf8_lossy(&registry.manifest("app", "1")).contains("tar+zstd"));
    // What it came with counts again when nothing is asked for.
    assert_eq!(digest(&sandbox.rbuild(&["push", &name]).succeeded()), gzip);
}

#[test]
fn an_index_goes_out_whole_or_says_what_is_missing() {
    let (Some(registry), Some(other)) = (Registry::start(None), Registry::start(None)) else { return };
    let odd = format!("{}/app:odd", registry.address);
    let maker = Sandbox::new();
    maker
        .build(FILES, &["-t", &format!("{}/app:1", registry.address), "--platform", BOTH, "--push"])
        .succeeded();
    let bytes = in_other_words(&registry.manifest("app", "1"));
    registry.put_manifest("app", "odd", INDEX, &bytes);

    let sandbox = Sandbox::new();
    sandbox.rbuild(&["pull", "-q", "--platform", BOTH, &odd]).succeeded();
    let copy = format!("{}/copy:1", other.address);
    sandbox.rbuild(&["tag", &odd, &copy]).succeeded();
    let pushed = sandbox.rbuild(&["push", &copy]).succeeded();
    assert_eq!(digest(&pushed), sha256(&bytes), "{pushed}");
    let archive = sandbox.path("both.tar");
    sandbox.rbuild(&["save", "--format", "oci", "-o", &archive, &odd]).succeeded();
    let third = Sandbox::new();
    third.rbuild(&["load", "-i", &archive]).succeeded();
    let back = format!("{}/back:1", other.address);
    third.rbuild(&["tag", &odd, &back]).succeeded();
    assert_eq!(digest(&third.rbuild(&["push", &back]).succeeded()), sha256(&bytes));

    // One of two: its own manifest, and a word about the other.
    let one = Sandbox::new();
    one.rbuild(&["pull", "-q", "--platform", "linux/arm64", &odd]).succeeded();
    assert_eq!(one.rbuild(&["manifest", "inspect", "--raw", &odd]).succeeded().bytes, bytes);
    let alone = format!("{}/alone:1", other.address);
    one.rbuild(&["tag", &odd, &alone]).succeeded();
    one.rbuild(&["push", &alone]).succeeded().saying("not pushed are those for linux/amd64");
    let index: Value = serde_json::from_slice(&bytes).expect("JSON");
    let arm = index["manifests"][1]["digest"].as_str().expect("a digest");
    assert_eq!(sha256(&other.manifest("alone", "1")), arm);
}

#[test]
fn a_layout_of_skopeo_keeps_its_manifest() {
    let Some(registry) = Registry::start(None) else { return };
    if Command::new("skopeo").arg("--version").output().is_err() {
        println!("SKIP skopeo is not installed");
        return;
    }
    let sandbox = Sandbox::with_busybox();
    let (archive, layout) = (sandbox.path("b.tar"), sandbox.path("layout"));
    sandbox.rbuild(&["save", "-o", &archive, "busybox"]).succeeded();
    let target = format!("oci:{layout}:example.com/busybox:1");
    let copied = Command::new("skopeo")
        .args(["copy", "-q", "--insecure-policy", &format!("docker-archive:{archive}"), &target])
        .env("HOME", sandbox.home())
        .output()
        .expect("skopeo");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let index = std::fs::read(format!("{layout}/index.json")).expect("an index");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let there = Sandbox::new();
    there.rbuild(&["load", "-i", &layout]).succeeded();
    let name = format!("{}/b:1", registry.address);
    there.rbuild(&["tag", "example.com/busybox:1", &name]).succeeded();
    let pushed = there.rbuild(&["push", &name]).succeeded();
    assert_eq!(index["manifests"][0]["digest"], digest(&pushed));
}

#[test]
fn lists_of_what_is_here_and_there() {
    let (Some(registry), Some(other)) = (Registry::start(None), Registry::start(None)) else { return };
    let at = |name: &str| format!("{}/{name}", registry.address);
    let (amd, arm, list) = (at("app:amd64"), at("app:arm64"), at("all:1"));
    // One is only in a registry, the other only in the store.
    let maker = Sandbox::new();
    maker.build(FILES, &["-t", &amd, "--platform", "linux/amd64", "--push"]).succeeded();
    let sandbox = Sandbox::new();
    sandbox.build(FILES, &["-t", &arm, "--platform", "linux/arm64"]).succeeded();
    let created = sandbox.rbuild(&["manifest", "create", &list, &amd, &arm]).succeeded();
    assert_eq!(created.stdout, format!("Created manifest list {list}\n"));
    sandbox.rbuild(&["manifest", "create", &list, &amd]).ended_with(1).saying("--amend");
    sandbox.rbuild(&["manifest", "create", "-a", &list, &amd]).succeeded();
    sandbox
        .rbuild(&["manifest", "annotate", "--variant", "v8", "--os-features=a,b", &list, &arm])
        .succeeded();
    let bad = sandbox.rbuild(&["manifest", "annotate", "--arch", "pdp11", &list, &arm]).ended_with(1);
    bad.saying("unsupported os/arch combination: linux/pdp11");
    let shown = sandbox.rbuild(&["manifest", "inspect", "--raw", &list]).succeeded().bytes;
    assert_eq!(platforms(&shown), ["amd64 -", "arm64 v8"]);
    let verbose = sandbox.rbuild(&["manifest", "inspect", "-v", &list, &arm]).succeeded();
    let verbose: Value = serde_json::from_str(&verbose.stdout).expect("JSON");
    assert_eq!(verbose["Descriptor"]["platform"]["os.features"], serde_json::json!(["a", "b"]));
    // Nothing takes away what a list leads to.
    sandbox.rbuild(&["system", "prune", "-f"]).succeeded();

    let pushed = sandbox.rbuild(&["manifest", "push", &list]).succeeded();
    assert_eq!(registry.manifest("all", "1"), shown);
    assert!(pushed.stdout.ends_with(&format!("{}\n", sha256(&shown))), "{pushed}");
    assert_eq!(pushed.stdout.matches(&format!("Pushed ref {}@sha256:", at("all"))).count(), 2, "{pushed}");
    let there = Sandbox::new();
    there.rbuild(&["pull", "-q", "--platform", BOTH, &list]).succeeded();

    // To another registry, from an index, with nothing here but manifests.
    let away = format!("{}/away:1", other.address);
    let empty = Sandbox::new();
    empty.rbuild(&["manifest", "create", &away, &list]).succeeded();
    empty.rbuild(&["manifest", "push", "--purge", &away]).succeeded();
    assert_eq!(platforms(&other.manifest("away", "1")), ["amd64 -", "arm64 v8"]);
    there.rbuild(&["pull", "-q", "--platform", "linux/arm64", &away]).succeeded();
    empty.rbuild(&["manifest", "push", &away]).ended_with(1).saying(&format!("No such manifest: {away}"));
    empty.rbuild(&["images", "-aq"]).succeeded().printing("");

    sandbox.rbuild(&["manifest", "rm", &list, "nothing"]).ended_with(1).saying("No such manifest: nothing");
    for (args, says) in [
        (&["annotate", "--os", "linux", &list, &arm][..], "No such manifest: "),
        (&["create", &list, &at("missing:1")], "no such manifest: "),
        (&["create", &list], "required"),
        (
            &["create", "x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "y"],
            "no digest",
        ),
        (&["inspect", &list, &arm], "No such manifest: "),
        (&["push", &arm], "No such manifest: "),
    ] {
        sandbox.rbuild(&[&["manifest"], args].concat()).ended_with(1).saying(says);
    }
}
