//! Archives as other tools write them.

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::support::Sandbox;

/// An image with these layers, as `docker save` writes it.
fn image(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let digests = layers.iter().map(|layer| {
        let hex: String = Sha256::digest(layer).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"sha256:{hex}\"")
    });
    let digests = digests.collect::<Vec<_>>().join(",");
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = format!(
        r#"{{"os":"linux","architecture":"{machine}","rootfs":{{"type":"layers","diff_ids":[{digests}]}}}}"#
    );
    let files: Vec<String> = (0..layers.len()).map(|number| format!("\"{number}.tar\"")).collect();
    let files = files.join(",");
    let manifest = format!(r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":[{files}]}}]"#);
    let mut tar = Builder::new(Vec::new());
    let mut put = |name: &str, data: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, data).expect("a member");
    };
    layers.iter().enumerate().for_each(|(number, layer)| put(&format!("{number}.tar"), layer));
    put("config.json", config.as_bytes());
    put("manifest.json", manifest.as_bytes());
    tar.into_inner().expect("an archive")
}

/// Entries: a directory with its mode ends with a slash.
fn layer(entries: &[(&str, u32)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, mode) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(if name.ends_with('/') { EntryType::Directory } else { EntryType::Regular });
        header.set_size(0);
        header.set_mode(*mode);
        header.set_mtime(77);
        tar.append_data(&mut header, name, &b""[..]).expect("an entry");
    }
    tar.into_inner().expect("a layer")
}

/// Kaniko and Bazel write a file without the directories that it is in. Those of the layers below stay as they are,
/// whichever those are; the layer is the same in all images.
#[test]
fn parents_that_a_layer_leaves_out() {
    let sandbox = Sandbox::new();
    let top = layer(&[("tmp/x", 0o644), ("srv/deep/y", 0o644)]);
    let below = [layer(&[("tmp/", 0o1777)]), layer(&[("srv/", 0o700), ("srv/deep/", 0o750), ("tmp", 0o600)])];
    let cases = [("sticky", &below[0], ["1777", "755", "755"]), ("other", &below[1], ["755", "700", "750"])];
    // Loaded again, and each after the other, it is what it was.
    for (name, below, modes) in cases.iter().chain(&cases) {
        let archive = image(name, &[(*below).clone(), top.clone()]);
        sandbox.rbuild_with_input(&["load"], &archive).succeeded();
        let out = sandbox.path(name);
        let dockerfile = format!("FROM {name}\n");
        let _ = std::fs::remove_dir_all(&out);
        sandbox.build(&dockerfile, &["--output", &format!("type=local,dest={out}")]).succeeded();
        for (dir, mode) in ["tmp", "srv", "srv/deep"].iter().zip(modes) {
            use std::os::unix::fs::PermissionsExt;
            let found = std::fs::metadata(format!("{out}/{dir}")).expect(dir).permissions().mode();
            assert_eq!(format!("{:o}", found & 0o7777), *mode, "{name}: /{dir}");
        }
        assert!(std::fs::metadata(format!("{out}/tmp/x")).is_ok(), "{name}");
    }
    for (name, below, _) in &cases {
        let archive = sandbox.path("saved.tar");
        sandbox.rbuild(&["save", "-o", &archive, name]).succeeded();
        let saved = std::fs::read(&archive).expect("it was saved");
        for layer in [*below, &top] {
            assert!(saved.windows(layer.len()).any(|part| part == layer.as_slice()), "{name}: bit for bit");
        }
    }
    sandbox.rbuild(&["fsck"]).succeeded();
}
