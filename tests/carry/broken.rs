//! Caches in disrepair, and caches that lie.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{DOCKERFILE, Place, build, machine, notices, ran};

/// The files below `folder`, the largest last.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("blobs/sha256")).expect("blobs");
    let mut blobs: Vec<PathBuf> = entries.map(|entry| entry.expect("a blob").path()).collect();
    blobs.sort_by_key(|path| path.metadata().expect("a file").len());
    blobs
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

fn blob(folder: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest");
    folder.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

fn manifest(folder: &Path) -> PathBuf {
    blob(folder, &json(&folder.join("index.json"))["manifests"][0])
}

/// Does something to the folder of a cache.
type Damage<'a> = &'a dyn Fn(&Path);

/// A cache in some state of disrepair costs a sentence and no more, and the next export mends it.
#[test]
fn a_broken_cache_is_said_and_mended() {
    let spoil = |path: PathBuf| {
        let mut bytes = std::fs::read(&path).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(path, bytes).expect("written");
    };
    let cut = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("a blob");
        std::fs::write(path, &bytes[..bytes.len() / 2]).expect("written");
    };
    // Nobody writes into it, so whoever waited for bytes would wait for ever.
    let pipe = |path: PathBuf| {
        let kind = rustix::fs::FileType::Fifo;
        std::fs::remove_file(&path).expect("removed");
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("a pipe");
    };
    let damages: [(&str, Damage<'_>); 8] = [
        ("layers", &|folder| {
            for layer in json(&manifest(folder))["layers"].as_array().expect("layers") {
                spoil(blob(folder, layer));
            }
        }),
        ("a config that was cut off", &|folder| cut(blob(folder, &json(&manifest(folder))["config"]))),
        ("a manifest", &|folder| spoil(manifest(folder))),
        ("a missing manifest", &|folder| std::fs::remove_file(manifest(folder)).expect("removed")),
        ("a pipe for an index", &|folder| pipe(folder.join("index.json"))),
        ("pipes for layers", &|folder| {
            for layer in json(&manifest(folder))["layers"].as_array().expect("layers") {
                pipe(blob(folder, layer));
            }
        }),
        ("an index", &|folder| std::fs::write(folder.join("index.json"), "{").expect("written")),
        ("nothing there", &|folder| std::fs::remove_dir_all(folder).expect("removed")),
    ];
    let place = Place::folder();
    build(&machine("one"), DOCKERFILE, &[&place.to("max")]);
    for (what, damage) in damages {
        damage(&place.path());
        let second = machine("one");
        let built = build(&second, DOCKERFILE, &[&place.from(), &place.to("max")]);
        assert!(!notices(&built).is_empty(), "{what}: {built}");
        assert!(ran(&built) >= 2, "{what}: {built}");
        second.rbuild(&["fsck"]).succeeded();
        let third = machine("one");
        let mended = build(&third, DOCKERFILE, &[&place.from()]);
        assert_eq!((ran(&mended), notices(&mended)), (0, Vec::new()), "{what}: {mended}");
    }
    assert!(!blobs(&place.path()).is_empty());
}

/// A cache that says of one layer that it is another.
#[test]
fn a_lying_cache_spoils_nothing() {
    let place = Place::folder();
    let first = machine("one");
    build(&first, DOCKERFILE, &[&place.to("max")]);
    let folder = place.path();
    let (index, mut manifest_now) = (json(&folder.join("index.json")), json(&manifest(&folder)));
    let mut config = json(&blob(&folder, &manifest_now["config"]));
    let blobs: Vec<Value> =
        config["layers"].as_array().expect("layers").iter().map(|layer| layer["blob"].clone()).collect();
    for (layer, other) in config["layers"].as_array_mut().expect("layers").iter_mut().zip(blobs.iter().rev())
    {
        layer["blob"] = other.clone();
    }
    let put = |bytes: Vec<u8>| {
        let digest: String =
            <sha2::Sha256 as sha2::Digest>::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(folder.join("blobs/sha256").join(&digest), &bytes).expect("written");
        serde_json::json!({"digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let config_type = manifest_now["config"]["mediaType"].clone();
    manifest_now["config"] = put(serde_json::to_vec(&config).expect("JSON"));
    manifest_now["config"]["mediaType"] = config_type;
    let mut index = index;
    let annotations = index["manifests"][0]["annotations"].clone();
    index["manifests"][0] = put(serde_json::to_vec(&manifest_now).expect("JSON"));
    index["manifests"][0]["annotations"] = annotations;
    std::fs::write(folder.join("index.json"), index.to_string()).expect("written");

    let second = machine("one");
    let built = build(&second, DOCKERFILE, &[&place.from()]);
    assert!(notices(&built).iter().any(|notice| notice.contains("holds other files")), "{built}");
    let image = second.rbuild(&["save", "app"]).succeeded().bytes;
    assert_eq!(crate::support::archive::Image::only(&image).text("out"), "one");
    second.rbuild(&["fsck"]).succeeded();
}
