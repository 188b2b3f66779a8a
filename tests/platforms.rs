//! Builds for several platforms, and what becomes of their images.

use std::io::Read;

use serde_json::Value;

use crate::support::registry::Registry;
use crate::support::{Outcome, Sandbox};

const BOTH: &str = "linux/amd64,linux/arm64";

/// Needs no program of any platform.
const FILES: &str = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\nCOPY common /common\n";

/// With a folder `context` that [`FILES`] can be built in.
fn prepared() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, content) in [("amd64", "a\n"), ("arm64", "b\n"), ("common", "c\n")] {
        sandbox.write(name, content);
    }
    sandbox
}

fn inspect(sandbox: &Sandbox, name: &str, template: &str, platform: Option<&str>) -> String {
    let mut args = vec!["inspect", "-f", template, name];
    args.extend(platform.iter().flat_map(|platform| ["--platform", platform]));
    sandbox.rbuild(&args).succeeded().stdout.trim().to_owned()
}

fn id(sandbox: &Sandbox, name: &str) -> String {
    sandbox.rbuild(&["images", "-q", "--no-trunc", name]).succeeded().stdout
}

fn platforms(index: &Value) -> Vec<String> {
    let entries = index["manifests"].as_array().expect("a list");
    let part = |entry: &Value, name: &str| entry["platform"][name].as_str().unwrap_or_default().to_owned();
    entries.iter().map(|entry| format!("{}/{}", part(entry, "os"), part(entry, "architecture"))).collect()
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

#[test]
fn several_platforms_are_one_name() {
    let sandbox = prepared();
    let built = sandbox.build(FILES, &["-t", "app", "--platform", BOTH]).succeeded();
    for title in ["[linux/amd64 1/2] COPY", "[linux/arm64 1/2] COPY", "[linux/arm64 2/2] COPY common"] {
        assert!(built.stderr.contains(title), "{title}: {built}");
    }
    sandbox.rbuild(&["images", "--format", "{{.Repository}}"]).succeeded().printing("app\n");
    for (platform, architecture) in [("linux/amd64", "amd64"), ("linux/arm64", "arm64")] {
        let found = inspect(&sandbox, "app", "{{.Architecture}} {{.RepoTags}}", Some(platform));
        assert_eq!(found, format!("{architecture} [app:latest]"));
    }
    sandbox.rbuild(&["inspect", "--platform", "linux/s390x", "app"]).ended_with(1).saying("linux/s390x");
    let index = json(&sandbox.rbuild(&["manifest", "inspect", "app"]).succeeded());
    assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64"]);

    let quiet = sandbox.build(FILES, &["-q", "--platform", BOTH, "--iidfile", &sandbox.path("iid")]);
    assert_eq!(quiet.succeeded().stdout, id(&sandbox, "app"), "the index, with every step cached");
    assert_eq!(std::fs::read_to_string(sandbox.path("iid")).expect("a file"), id(&sandbox, "app").trim());

    let archive = sandbox.path("app.tar");
    sandbox.rbuild(&["save", "-o", &archive, "app"]).succeeded();
    let other = Sandbox::new();
    other.rbuild(&["load", "-i", &archive]).succeeded().printing("Loaded image: app:latest\n");
    assert_eq!(id(&other, "app"), id(&sandbox, "app"));
    let third = Sandbox::new();
    third.rbuild(&["load", "--platform", "linux/arm64", "-i", &archive]).succeeded();
    assert_eq!(inspect(&third, "app", "{{.Architecture}}", None), "arm64");

    other.rbuild(&["tag", "app", "again"]).succeeded();
    other.rbuild(&["rmi", "app"]).succeeded().printing("Untagged: app:latest\n");
    other.rbuild(&["system", "prune", "-f"]).succeeded();
    other.rbuild(&["fsck"]).succeeded();
    let part = inspect(&other, "again", "{{.Id}}", Some("linux/arm64"));
    other.rbuild(&["rmi", &part]).ended_with(1).saying("one of the images of again:latest");
    let gone = other.rbuild(&["rmi", "again"]).succeeded().stdout;
    assert_eq!(gone.lines().filter(|line| line.starts_with("Deleted: ")).count(), 3, "{gone}");
    other.rbuild(&["images", "-aq"]).succeeded().printing("");
}

#[test]
fn outputs_have_all_platforms() {
    let sandbox = prepared();
    let (files, tar, oci) = (sandbox.path("files"), sandbox.path("files.tar"), sandbox.path("oci.tar"));
    let outputs =
        [format!("type=local,dest={files}"), format!("type=tar,dest={tar}"), format!("type=oci,dest={oci}")];
    let mut args = vec!["--platform", BOTH];
    args.extend(outputs.iter().flat_map(|output| ["-o", output]));
    sandbox.build(FILES, &args).succeeded();
    for (platform, content) in [("linux_amd64", "a\n"), ("linux_arm64", "b\n")] {
        let file = std::fs::read_to_string(format!("{files}/{platform}/arch")).expect("a file");
        assert_eq!(file, content);
        assert_eq!(member(&tar, &format!("{platform}/arch")), content);
    }
    let top: Value = serde_json::from_str(&member(&oci, "index.json")).expect("JSON");
    let nested =
        top["manifests"][0]["digest"].as_str().and_then(|d| d.strip_prefix("sha256:")).expect("a digest");
    let nested: Value = serde_json::from_str(&member(&oci, &format!("blobs/sha256/{nested}"))).expect("JSON");
    assert_eq!(platforms(&nested), ["linux/amd64", "linux/arm64"]);
}

/// The text of a member of a tar.
fn member(tar: &str, name: &str) -> String {
    let mut archive = tar::Archive::new(std::fs::File::open(tar).expect("a tar"));
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        if entry.path().expect("a path").to_str() == Some(name) {
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            return text;
        }
    }
    panic!("{tar} has no {name}");
}

#[test]
fn what_platforms_have_in_common_is_done_once() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = "FROM --platform=$BUILDPLATFORM busybox AS tools\nRUN echo common\n\
                      FROM tools AS cross\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\n\
                      FROM scratch\nCOPY --from=cross /arch /\n";
    let out = sandbox.path("out");
    let built = sandbox
        .build(dockerfile, &["--progress=json", "--platform", BOTH, "-o", &format!("type=local,dest={out}")])
        .succeeded();
    let ran = built.events().into_iter().filter(|event| event["type"] == "step").collect::<Vec<_>>();
    assert_eq!(ran.len(), 5, "{built}");
    assert_eq!(ran.iter().filter(|step| step["instruction"] == "RUN echo common").count(), 1, "{built}");
    for architecture in ["amd64", "arm64"] {
        let file = std::fs::read_to_string(format!("{out}/linux_{architecture}/arch")).expect("a file");
        assert_eq!(file.trim(), architecture);
    }
}

#[test]
fn a_step_that_cannot_run_here_is_refused_before_anything_runs() {
    let sandbox = prepared();
    let dockerfile = "FROM scratch\nCOPY common /\nRUN [\"/common\"]\n";
    let refused = sandbox.build(dockerfile, &["--platform", "windows/amd64"]).ended_with(1);
    let refused =
        refused.saying("Dockerfile:3").saying("this step is for windows/amd64").saying("BUILDPLATFORM");
    assert!(!refused.stderr.contains("DONE"), "{refused}");
    sandbox.build(FILES, &["--platform", "linux/amd64,pdp11"]).ended_with(125).saying("pdp11");
    sandbox.build(FILES, &["--platform", "linux/arm64", "--provenance=false", "--sbom=false"]).succeeded();
    sandbox.build(FILES, &["--sbom=true"]).ended_with(125).saying("no attestations");
}

/// A program for linux/arm64 that ends with the exit code 0: an ELF header, one segment, three instructions
/// (mov x0, #0; mov x8, #93; svc #0).
fn arm64_program() -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    let start = 64 + 56_u64;
    out.extend([2, 0, 183, 0, 1, 0, 0, 0]);
    for address in [0x40_0000 + start, 64, 0] {
        out.extend(address.to_le_bytes());
    }
    out.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    out.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for number in [0, 0x40_0000, 0x40_0000, start + 12, start + 12, 0x1_0000] {
        out.extend(u64::to_le_bytes(number));
    }
    out.extend(*b"\x00\x00\x80\xd2\xa8\x0b\x80\xd2\x01\x00\x00\xd4");
    out
}

#[test]
fn a_foreign_program_runs_where_somebody_interprets_it() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("end", arm64_program());
    let dockerfile = "FROM scratch\nCOPY --chmod=755 end /end\nRUN [\"/end\"]\n";
    let built = sandbox.build(dockerfile, &["--platform", "linux/arm64"]);
    let list = std::path::Path::new("/proc/sys/fs/binfmt_misc");
    let entry = std::fs::read_to_string(list.join("qemu-aarch64")).unwrap_or_default();
    if cfg!(target_arch = "aarch64") || (entry.starts_with("enabled") && has_f(&entry)) {
        built.succeeded();
    } else if entry.is_empty() && list.join("status").exists() {
        built.ended_with(1).saying("this step is for linux/arm64").saying("qemu-user-static");
    } else {
        println!("SKIP what this machine does with programs for linux/arm64 cannot be read");
    }
}

/// Whether the interpreter was opened when it was registered.
fn has_f(entry: &str) -> bool {
    entry.lines().any(|line| line.strip_prefix("flags: ").is_some_and(|flags| flags.contains('F')))
}

#[test]
fn an_index_goes_through_a_registry() {
    let Some(registry) = Registry::start(None) else { return };
    let name = format!("{}/app:1", registry.address);
    let here = prepared();
    here.build(FILES, &["-t", &name, "--platform", BOTH, "--push"]).succeeded();
    let there = prepared();
    let index = json(&there.rbuild(&["manifest", "inspect", &name]).succeeded());
    assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64"]);
    let verbose = json(&there.rbuild(&["manifest", "inspect", "-v", &name]).succeeded());
    assert_eq!(verbose[1]["Descriptor"], index["manifests"][1]);
    for architecture in ["arm64", "amd64"] {
        there.rbuild(&["pull", "-q", "--platform", &format!("linux/{architecture}"), &name]).succeeded();
        assert_eq!(inspect(&there, &name, "{{.Architecture}}", None), architecture);
    }
    let dockerfile = format!("FROM {name}\nCOPY common /more\n");
    there.build(&dockerfile, &["--platform", BOTH]).succeeded();
    drop(registry);
    // Both bases are kept under the name: nobody is asked again.
    there.build(&dockerfile, &["--platform", BOTH]).succeeded();
}
