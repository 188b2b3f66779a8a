//! The commands on the store.

use serde_json::Value;

use crate::support::archive::Image;
use crate::support::sandbox::BUSYBOX;
use crate::support::{Outcome, Sandbox};

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome}"))
}

fn id_of(sandbox: &Sandbox, name: &str) -> String {
    sandbox.rbuild(&["inspect", "-f", "{{.Id}}", name]).succeeded().stdout.trim().to_owned()
}

#[test]
fn a_loaded_image_is_listed_under_all_its_names() {
    let sandbox = Sandbox::new();
    sandbox.rbuild(&["load", "-i", BUSYBOX]).succeeded().printing("Loaded image: busybox:latest\n");
    let id = id_of(&sandbox, "busybox");
    let image = Image::only(&std::fs::read(BUSYBOX).expect("the fixture"));
    assert_eq!(id, format!("sha256:{}", image.id));
    for name in ["busybox:latest", "docker.io/library/busybox", &id, &id[..12], &id[7..19]] {
        assert_eq!(id_of(&sandbox, name), id, "{name}");
    }
    let list = sandbox.rbuild(&["images"]).succeeded().stdout;
    let words: Vec<Vec<&str>> = list.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
    assert_eq!(words[1][..3], ["busybox", "latest", &id[7..19]]);
    assert!(words[1].last().is_some_and(|size| size.ends_with("MB")), "{list}");
    sandbox.rbuild(&["images", "-q", "--no-trunc"]).succeeded().printing(&format!("{id}\n"));
    let row = json(&sandbox.rbuild(&["image", "ls", "--format", "json"]).succeeded());
    assert_eq!((&row["Repository"], &row["Tag"]), (&"busybox".into(), &"latest".into()));
}

#[test]
fn loading_from_standard_input_is_the_same() {
    let sandbox = Sandbox::new();
    let archive = std::fs::read(BUSYBOX).expect("the fixture");
    sandbox.rbuild_with_input(&["load", "-q"], &archive).succeeded().printing("");
    assert!(id_of(&sandbox, "busybox").ends_with(&Image::only(&archive).id));
}

#[test]
fn tags_and_their_removal() {
    let sandbox = Sandbox::with_busybox();
    let id = id_of(&sandbox, "busybox");
    sandbox.rbuild(&["tag", "busybox", "example.com/team/app:1"]).succeeded().printing("");
    sandbox
        .rbuild(&["images", "--format", "{{.Repository}}:{{.Tag}}", "example.com/team/app"])
        .succeeded()
        .printing("example.com/team/app:1\n");
    sandbox.rbuild(&["rmi", &id]).ended_with(1).saying("must be forced");
    sandbox.rbuild(&["rmi", "busybox"]).succeeded().printing("Untagged: busybox:latest\n");
    sandbox.rbuild(&["rmi", "busybox"]).ended_with(1).saying("No such image: busybox");
    let want = format!("Untagged: example.com/team/app:1\nDeleted: {id}\n");
    sandbox.rbuild(&["rmi", "example.com/team/app:1"]).succeeded().printing(&want);
    sandbox.rbuild(&["images", "-q"]).succeeded().printing("");
    sandbox.rbuild(&["rmi", "-f", "busybox"]).succeeded();
}

#[test]
fn names_that_are_none() {
    let sandbox = Sandbox::with_busybox();
    for name in ["UPPER", "a b", "x:", "-x", "a@sha256:0"] {
        let outcome = sandbox.rbuild(&["tag", "busybox", name]);
        assert_ne!(outcome.code, 0, "{outcome}");
    }
    sandbox.rbuild(&["tag", "nothing", "x"]).ended_with(1).saying("No such image: nothing");
}

#[test]
fn history_and_inspect() {
    let sandbox = Sandbox::with_busybox();
    let history = sandbox.rbuild(&["history", "busybox"]).succeeded().stdout;
    assert!(history.starts_with("IMAGE "), "{history}");
    let image = Image::only(&std::fs::read(BUSYBOX).expect("the fixture"));
    let entries = image.config["history"].as_array().expect("history").len();
    assert_eq!(history.lines().count(), entries + 1, "{history}");
    assert!(history.contains("<missing>"), "{history}");
    let inspected = json(&sandbox.rbuild(&["inspect", "busybox"]).succeeded());
    assert_eq!(inspected[0]["RepoTags"], serde_json::json!(["busybox:latest"]));
    assert_eq!(inspected[0]["RootFS"]["Layers"], image.config["rootfs"]["diff_ids"]);
    assert_eq!(inspected[0]["Config"]["Cmd"], serde_json::json!(["sh"]));
    sandbox
        .rbuild(&["inspect", "-f", "{{json .Config.Cmd}} {{.Os}}/{{.Architecture}}", "busybox"])
        .succeeded()
        .printing("[\"sh\"] linux/amd64\n");
    let missing = sandbox.rbuild(&["inspect", "nothing"]).ended_with(1).saying("No such image: nothing");
    assert_eq!(missing.stdout, "[]\n");
    sandbox
        .rbuild(&["inspect", "-f", "{{.Nothing}}", "busybox"])
        .ended_with(1)
        .saying("can't evaluate field Nothing");
}

#[test]
fn what_was_loaded_is_saved_with_the_same_files_and_id() {
    let sandbox = Sandbox::with_busybox();
    let original = Image::only(&std::fs::read(BUSYBOX).expect("the fixture"));
    let to_stdout = sandbox.rbuild(&["save", "busybox"]).succeeded().bytes;
    let saved = Image::only(&to_stdout);
    assert_eq!(saved.names, ["busybox:latest"]);
    assert_eq!((saved.id, saved.config, saved.tree), (original.id, original.config, original.tree));
    sandbox.rbuild(&["save", "-o", "a.tar", "busybox"]).succeeded();
    assert_eq!(
        std::fs::read(sandbox.path("a.tar")).expect("the archive"),
        to_stdout,
        "the same bytes each time"
    );
    let other = Sandbox::new();
    other.rbuild_with_input(&["load"], &to_stdout).succeeded().printing("Loaded image: busybox:latest\n");
    sandbox.rbuild(&["save", "-o", "b.tar", "nothing"]).ended_with(1).saying("No such image: nothing");
    let left = std::fs::read_dir(sandbox.work()).expect("the folder").count();
    assert_eq!(left, 1, "a failed save leaves no file");
}

#[test]
fn an_imported_tree_is_an_image() {
    let sandbox = Sandbox::new();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(3);
    header.set_mode(0o640);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_136_239_445);
    tar.append_data(&mut header, "etc/file", &b"abc"[..]).expect("an entry");
    let tree = tar.into_inner().expect("an archive");
    let args = ["import", "-c", "CMD [\"/x\"]", "-c", "ENV A=b", "-m", "by hand", "-", "tree:1"];
    let id = sandbox.rbuild_with_input(&args, &tree).succeeded().stdout;
    assert_eq!(id.trim(), id_of(&sandbox, "tree:1"));
    let image = Image::only(&sandbox.rbuild(&["save", "tree:1"]).succeeded().bytes);
    assert_eq!(image.text("etc/file"), "abc");
    let node = &image.tree["etc/file"];
    assert_eq!((node.mode, node.uid, node.gid, node.mtime), (0o640, 7, 8, 1_136_239_445));
    assert_eq!(image.config["config"]["Cmd"], serde_json::json!(["/x"]));
    assert_eq!(image.config["config"]["Env"], serde_json::json!(["A=b"]));
    assert_eq!(image.config["history"][0]["comment"], "by hand");
}

#[test]
fn an_image_that_a_container_uses_stays() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.rbuild(&["run", "--name", "user", "busybox", "true"]).succeeded();
    sandbox.rbuild(&["tag", "busybox", "other"]).succeeded();
    sandbox.rbuild(&["rmi", "other"]).succeeded().printing("Untagged: other:latest\n");
    let refused = sandbox.rbuild(&["rmi", "busybox"]).ended_with(1);
    refused.saying(
        "conflict: unable to remove repository reference \"busybox:latest\" (must force) - container ",
    );
    let id = sandbox.rbuild(&["inspect", "-f", "{{.Id}}", "busybox"]).succeeded().stdout;
    sandbox.rbuild(&["rmi", id.trim()]).ended_with(1).saying("is being used by stopped container");
    sandbox.rbuild(&["rmi", "--force", "busybox"]).succeeded();
    sandbox.rbuild(&["inspect", "busybox"]).ended_with(1);
}
