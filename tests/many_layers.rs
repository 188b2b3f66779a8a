//! Images of more layers than overlayfs takes.

use std::os::unix::fs::MetadataExt;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::support::Sandbox;
use crate::support::archive::{Image, Kind, Node};

/// Overlayfs takes 500.
const LAYERS: u64 = 600;

/// Everything below `/t`, a line each: what it is, its mode, time and content.
const LISTING: &str = r#"cd /t && find . | sort | while read -r path; do
  if [ -L "$path" ]; then content=$(readlink "$path"); elif [ -f "$path" ]; then content=$(cat "$path"); else content=; fi
  echo "$path $(stat -c '%F %a %Y' "$path") $content"
done"#;

/// A layer in the making.
struct Layer {
    tar: tar::Builder<Vec<u8>>,
    time: u64,
}

impl Layer {
    fn add(&mut self, kind: EntryType, path: &str, target: &str, content: &str) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.time);
        header.set_size(content.len() as u64);
        if !target.is_empty() {
            header.set_link_name(target).expect("a short target");
        }
        self.tar.append_data(&mut header, path, content.as_bytes()).expect("an entry");
    }

    /// The folders above a path, as every builder writes them.
    fn parents(&mut self, path: &str) {
        for (slash, _) in path.match_indices('/') {
            self.add(EntryType::Directory, &path[..slash], "", "");
        }
    }
}

/// The layer with this number: it adds, replaces and removes files, folders and links that others have.
fn layer(number: u64) -> Vec<u8> {
    let mut layer = Layer { tar: tar::Builder::new(Vec::new()), time: 1_000_000_000 + number };
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) | 1;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let folder = format!("t/d{}/e{}", next(4), next(5));
    let path = format!("{folder}/f{}", next(6));
    let content = format!("of layer {number}");
    match next(12) {
        // The folder gives way to a file, or goes.
        0 => {
            layer.parents(&folder);
            layer.add(EntryType::Regular, &folder, "", &content);
        }
        1 => {
            layer.parents(&folder);
            let (above, name) = folder.rsplit_once('/').expect("it is deep");
            layer.add(EntryType::Regular, &format!("{above}/.wh.{name}"), "", "");
        }
        // It stays and hides what was in it.
        2 => {
            layer.parents(&path);
            layer.add(EntryType::Regular, &format!("{folder}/.wh..wh..opq"), "", "");
            layer.add(EntryType::Regular, &path, "", &content);
        }
        3 | 4 => {
            layer.parents(&path);
            let name = path.rsplit('/').next().expect("a name");
            layer.add(EntryType::Regular, &format!("{folder}/.wh.{name}"), "", "");
        }
        5 => {
            layer.parents(&path);
            layer.add(EntryType::Symlink, &path, &content, "");
        }
        // A folder where files are.
        6 => {
            layer.parents(&format!("{path}/inside"));
            layer.add(EntryType::Regular, &format!("{path}/inside"), "", &content);
        }
        _ => {
            layer.parents(&path);
            layer.add(EntryType::Regular, &path, "", &content);
        }
    }
    layer.tar.into_inner().expect("a tar")
}

/// The image `many`: busybox below so many layers.
fn archive(busybox: &[u8]) -> Vec<u8> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in tar::Archive::new(busybox).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("its bytes");
        files.insert(name, bytes);
    }
    let mut manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("the manifest");
    let name = manifest[0]["Config"].as_str().expect("a name").to_owned();
    let mut config: Value = serde_json::from_slice(&files[&name]).expect("the configuration");
    let mut out = tar::Builder::new(Vec::new());
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        out.append_data(&mut header, name, bytes).expect("a member");
    };
    for layer in manifest[0]["Layers"].as_array().expect("a list") {
        let layer = layer.as_str().expect("a name");
        put(layer, &files[layer]);
    }
    let list = |value: &mut Value, item: Value| value.as_array_mut().expect("a list").push(item);
    for number in 0..LAYERS {
        let bytes = layer(number);
        let digest = Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("memory takes it");
            text
        });
        put(&format!("{digest}.tar"), &bytes);
        list(&mut manifest[0]["Layers"], json!(format!("{digest}.tar")));
        list(&mut config["rootfs"]["diff_ids"], json!(format!("sha256:{digest}")));
        list(&mut config["history"], json!({ "created_by": format!("layer {number}") }));
    }
    manifest[0]["Config"] = json!("config.json");
    manifest[0]["RepoTags"] = json!(["many:latest"]);
    put("config.json", config.to_string().as_bytes());
    put("manifest.json", manifest.to_string().as_bytes());
    out.into_inner().expect("a tar")
}

/// What [`LISTING`] prints of a tree.
fn listing(tree: &BTreeMap<String, Node>) -> String {
    let mut lines = Vec::new();
    for (path, node) in tree {
        let Some(below) = path.strip_prefix('t').filter(|rest| rest.is_empty() || rest.starts_with('/'))
        else {
            continue;
        };
        let (kind, content) = match &node.kind {
            Kind::Dir => ("directory", String::new()),
            Kind::File(bytes) => ("regular file", String::from_utf8_lossy(bytes).trim_end().to_owned()),
            Kind::Symlink(target) => ("symbolic link", target.clone()),
            other => panic!("{path}: {other:?}"),
        };
        // The mode of a link means nothing.
        let mode = if kind == "symbolic link" { 0o777 } else { node.mode };
        lines.push(format!(".{below} {kind} {mode:o} {} {content}\n", node.mtime));
    }
    lines.sort();
    lines.concat()
}

#[test]
fn more_layers_than_overlayfs_takes() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let archive = archive(&sandbox.rbuild(&["save", "busybox"]).succeeded().bytes);
    sandbox.rbuild_with_input(&["load", "-q"], &archive).succeeded();
    let image = Image::only(&archive);
    let wanted = listing(&image.tree);
    assert!(wanted.lines().count() > 40, "{wanted}");

    // Without a step in between, with volumes over parts of it, and from other working sets of layers.
    sandbox.rbuild(&["run", "--rm", "many", "sh", "-c", LISTING]).succeeded().printing(&wanted);
    let anonymous = ["run", "--rm", "-v", "/t", "many", "sh", "-c", LISTING];
    sandbox.rbuild(&anonymous).succeeded().printing(&wanted);

    let dockerfile = format!(
        "FROM many AS made\nRUN <<end\n({LISTING}) > /listing\nrm -r /t/d0\nmkdir /t/d0\necho new > /t/d1/new\n\
         rm -r /t/d2/e0 /t/d3/*\nend\nRUN <<end\n({LISTING}) > /again\nend\n\
         FROM busybox\nCOPY --from=made /t /t\nCOPY --from=made /listing /again /\n"
    );
    sandbox.build(&dockerfile, &["-t", "copied"]).succeeded();
    sandbox.build(&dockerfile, &["-t", "made", "--target", "made"]).succeeded();
    let made = Image::only(&sandbox.rbuild(&["save", "made"]).succeeded().bytes);
    assert_eq!(made.layers.len(), image.layers.len() + 2, "the image has every layer");
    assert_eq!(made.layers[..image.layers.len()], image.layers);
    assert_eq!(made.text("listing"), wanted);
    assert_eq!(made.text("again"), listing(&made.tree));
    let copied = Image::only(&sandbox.rbuild(&["save", "copied"]).succeeded().bytes);
    assert_eq!(copied.text("again"), made.text("again"));
    assert_eq!(listing(&copied.tree), listing(&made.tree));
    assert_eq!(listing(&made.tree).lines().filter(|line| line.contains("/d0/")).count(), 0);

    // What stands for several layers is counted, and goes when nobody uses it.
    let merged = || std::fs::read_dir(sandbox.store().join("v1/merged")).map_or(0, Iterator::count);
    assert!(merged() > 0, "layers were merged");
    let df = sandbox.rbuild(&["system", "df", "-v"]).succeeded().stdout;
    // On a tmpfs folders take no room.
    let folder = std::fs::metadata(sandbox.store().join("v1/merged")).expect("it was listed just now");
    assert_eq!(df.contains("layers merged for overlayfs"), folder.blocks() > 0, "{df}");
    sandbox.rbuild(&["fsck"]).succeeded();
    sandbox.rbuild(&["cache", "prune", "-f"]).succeeded();
    assert_eq!(merged(), 0);
    sandbox.rbuild(&["run", "--rm", "made", "cat", "/listing"]).succeeded().printing(&wanted);
    sandbox.rbuild(&["build", "-q", "--target", "made", "."]).succeeded();
}
