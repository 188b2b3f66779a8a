//! Archives of every layout, made here, and what must happen to them.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::config::{ContainerConfig, ImageConfig, LayersKind, RootFs};
use crate::digest::{DiffId, Digest, ImageId};
use crate::layer::{Flavour, OwnTimes};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Named, Store};
use crate::time::Timestamp;

fn open(folder: &Path) -> Store {
    Store::open(folder, Flavour::User).unwrap()
}

/// A tar of regular files and symlinks (`-> target`), each given by name and content.
fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let link = content.strip_prefix(b"-> ");
        if let Some(target) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name_literal(target).unwrap();
        }
        let content = if link.is_some() { &[][..] } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn config_for(layers: &[&[u8]]) -> Vec<u8> {
    let config = ImageConfig {
        architecture: Platform::host().architecture,
        os: "linux".into(),
        rootfs: RootFs {
            kind: LayersKind::Layers,
            diff_ids: layers.iter().map(|layer| DiffId(Digest::of(layer))).collect(),
        },
        ..ImageConfig::default()
    };
    config.to_bytes()
}

fn layer_tar() -> Vec<u8> {
    tar_of(&[("hello", b"hello\n"), ("link", b"-> hello")])
}

fn docker_manifest(config: &str, tags: &[&str], layers: &[&str]) -> Vec<u8> {
    serde_json::to_vec(&json!([{"Config": config, "RepoTags": tags, "Layers": layers}])).unwrap()
}

fn load_bytes(store: &Store, archive: &[u8]) -> Result<Vec<Loaded>, ArchiveError> {
    load(store, Source::Stream(Cursor::new(archive)), None)
}

fn load_file(store: &Store, archive: &[u8]) -> Result<Vec<Loaded>, ArchiveError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(archive).unwrap();
    load(store, Source::<std::io::Empty>::Path(file.path()), None)
}

fn assert_empty(store: &Store) {
    assert_eq!(store.image_ids().unwrap(), []);
    assert_eq!(store.image_names().unwrap(), []);
    assert_eq!(store.layer_ids().unwrap(), []);
    for folder in ["blobs/sha256", "tmp", "diffids"] {
        let left = std::fs::read_dir(store.path().join(folder)).unwrap().count();
        assert_eq!(left, 0, "{folder}");
    }
}

/// A store with one image of two built layers, the second one empty.
fn built(store: &Store) -> ImageId {
    let mut layers = Vec::new();
    for content in [Some("hello\n"), None] {
        let temp = store.temp().unwrap();
        drop(temp.make_dir("fs", 0o755).unwrap());
        if let Some(content) = content {
            std::fs::write(temp.path().join("fs/hello"), content).unwrap();
        }
        layers.push(store.publish_layer(temp, OwnTimes::KeepAll).unwrap());
    }
    let mut config = ImageConfig {
        config: ContainerConfig { cmd: vec!["/hello".into()], ..ContainerConfig::default() },
        rootfs: RootFs {
            kind: LayersKind::Layers,
            diff_ids: layers.iter().map(|layer| layer.diff_id().unwrap()).collect(),
        },
        ..ImageConfig::default()
    };
    config.set_platform(&Platform::host());
    let ids: Vec<_> = layers.iter().map(crate::store::Layer::id).collect();
    store.put_image(&config.to_bytes(), &ids).unwrap()
}

fn saved(store: &Store, id: impl Into<Named>, names: &[&str], format: Format) -> Vec<u8> {
    let names = names.iter().map(|name| name.parse::<Reference>().unwrap()).collect();
    let mut out = Vec::new();
    save(store, &[Selection { id: id.into(), names }], &mut out, format).unwrap();
    out
}

fn members_of(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

#[test]
fn a_saved_image_has_both_tables_of_contents_over_the_same_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = built(&store);
    let archive = saved(&store, id, &["app:1", "localhost:5000/app:2"], Format::Docker);
    assert!(archive == saved(&store, id, &["app:1", "localhost:5000/app:2"], Format::Docker));
    let members = members_of(&archive);
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    // The uppermost layer comes first, then all in order.
    let diff_ids = store.image(id).unwrap().unwrap().config.rootfs.diff_ids;
    assert_eq!(names[..2], ["blobs/", "blobs/sha256/"]);
    assert_eq!(names[2], format!("blobs/sha256/{}", diff_ids.last().unwrap().0.hex()));
    assert!(names[3..].is_sorted(), "{names:?}");
    for (name, bytes) in &members {
        if let Some(hex) = name.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            assert_eq!(Digest::of(bytes).hex(), hex);
        }
    }
    let member = |name: &str| &members.iter().find(|(known, _)| known == name).unwrap().1;
    let manifest: Value = serde_json::from_slice(member("manifest.json")).unwrap();
    assert_eq!(manifest[0]["RepoTags"], json!(["app:1", "localhost:5000/app:2"]));
    assert_eq!(manifest[0]["Config"], format!("blobs/sha256/{}", id.hex()));
    let index: Value = serde_json::from_slice(member("index.json")).unwrap();
    let annotations = |n: usize| index["manifests"][n]["annotations"].clone();
    assert_eq!(annotations(0)["io.containerd.image.name"], "docker.io/library/app:1");
    assert_eq!(annotations(1)["org.opencontainers.image.ref.name"], "2");
    let oci = members_of(&saved(&store, id, &[], Format::Oci));
    assert!(!oci.iter().any(|(name, _)| name == "manifest.json"));
}

#[test]
fn a_layer_that_changed_behind_our_back_is_not_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = built(&store);
    let layer = store.layer(store.image(id).unwrap().unwrap().layers[0]).unwrap().unwrap();
    std::fs::write(layer.fs_path().join("hello"), "HELLO\n").unwrap();
    let images = [Selection { id: id.into(), names: Vec::new() }];
    let error = save(&store, &images, std::io::sink(), Format::Docker).unwrap_err();
    assert!(matches!(error, ArchiveError::CorruptLayer { .. }), "{error}");
    let missing = [Selection { id: ImageId(Digest::of(b"")).into(), names: Vec::new() }];
    let error = save(&store, &missing, std::io::sink(), Format::Docker).unwrap_err();
    assert!(matches!(error, ArchiveError::NoImage(_)), "{error}");
}

#[test]
fn what_was_saved_loads_in_another_store_with_the_same_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = built(&store);
    for format in [Format::Docker, Format::Oci] {
        let archive = saved(&store, id, &["app:1"], format);
        for (number, bytes) in [archive.clone(), gzip(&archive)].iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let other = open(folder.path());
            let loaded =
                if number == 0 { load_file(&other, bytes) } else { load_bytes(&other, bytes) }.unwrap();
            assert_eq!(loaded, [Loaded { id: id.into(), names: vec!["app:1".parse().unwrap()] }]);
            assert_eq!(other.resolve("app:1").unwrap().id, id);
            assert!(saved(&other, id, &["app:1"], format) == archive, "{format:?}");
            assert_eq!(std::fs::read_dir(other.path().join("tmp")).unwrap().count(), 0);
        }
    }
}

#[test]
fn every_layout_of_docker_archives_loads() {
    let layer = layer_tar();
    let config = config_for(&[&layer, &layer]);
    let id = ImageId(Digest::of(&config));
    let hex = Digest::of(&layer).hex();
    let config_name = format!("{}.json", id.hex());
    let current = [format!("blobs/sha256/{}", id.hex()), format!("blobs/sha256/{hex}")];
    let podman = format!("{hex}.tar");
    let archives = [
        tar_of(&[
            (&current[0], &config),
            (&current[1], &layer),
            ("manifest.json", &docker_manifest(&current[0], &["a:1"], &[&current[1], &current[1]])),
        ]),
        tar_of(&[
            (&config_name, &config),
            ("1/layer.tar", &layer),
            ("2/layer.tar", b"-> ../1/layer.tar"),
            ("manifest.json", &docker_manifest(&config_name, &["a:1"], &["1/layer.tar", "2/layer.tar"])),
        ]),
        tar_of(&[
            ("./manifest.json", &docker_manifest(&config_name, &["a:1"], &[&podman, &podman])),
            (&podman, &layer),
            (&config_name, &config),
        ]),
        tar_of(&[
            (&config_name, &config),
            ("l.tar.gz", &gzip(&layer)),
            ("manifest.json", &docker_manifest(&config_name, &["a:1"], &["l.tar.gz", "l.tar.gz"])),
        ]),
    ];
    for (number, archive) in archives.iter().enumerate() {
        for from_file in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path());
            let loaded =
                if from_file { load_file(&store, archive) } else { load_bytes(&store, archive) }.unwrap();
            assert_eq!(loaded[0].id, id.into(), "archive {number}");
            let image = store.resolve("a:1").unwrap();
            let layer = store.layer(image.layers[1]).unwrap().unwrap();
            assert_eq!(std::fs::read(layer.fs_path().join("hello")).unwrap(), b"hello\n");
        }
    }
}

#[test]
fn a_compressed_layer_is_saved_as_the_tar_that_it_was() {
    let layer = layer_tar();
    let config = config_for(&[&layer]);
    let archive = tar_of(&[
        ("c", &config),
        ("l", &gzip(&layer)),
        ("manifest.json", &docker_manifest("c", &[], &["l"])),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = load_bytes(&store, &archive).unwrap()[0].id;
    let members = members_of(&saved(&store, id, &[], Format::Docker));
    assert!(members.iter().any(|(_, bytes)| *bytes == layer));
}

#[test]
fn the_platform_is_chosen_in_nested_indexes() {
    let layer = layer_tar();
    let mut blobs: Vec<(String, Vec<u8>)> = Vec::new();
    let mut put = |bytes: Vec<u8>, media_type: &str| {
        let digest = Digest::of(&bytes);
        let size = bytes.len();
        blobs.push((format!("blobs/sha256/{}", digest.hex()), bytes));
        json!({"mediaType": media_type, "digest": digest, "size": size})
    };
    let layer_descriptor = put(layer.clone(), "application/vnd.oci.image.layer.v1.tar");
    let mut manifests = Vec::new();
    let mut ids = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let mut config = ImageConfig::parse(&config_for(&[&layer])).unwrap();
        config.architecture = architecture.to_owned();
        ids.push(config.id());
        let config = put(config.to_bytes(), "application/vnd.oci.image.config.v1+json");
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer_descriptor]});
        let mut manifest =
            put(serde_json::to_vec(&manifest).unwrap(), "application/vnd.oci.image.manifest.v1+json");
        manifest["platform"] = json!({"os": "linux", "architecture": architecture});
        manifests.push(manifest);
    }
    let nested = json!({"schemaVersion": 2, "manifests": manifests});
    let mut nested = put(serde_json::to_vec(&nested).unwrap(), "application/vnd.oci.image.index.v1+json");
    nested["annotations"] = json!({"org.opencontainers.image.ref.name": "docker.io/library/multi:1"});
    let index = json!({"schemaVersion": 2, "manifests": [nested]}).to_string().into_bytes();
    let layout = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(layout.path().join("blobs/sha256")).unwrap();
    for (name, bytes) in blobs.iter().map(|(n, b)| (n.as_str(), b)).chain([("index.json", &index)]) {
        std::fs::write(layout.path().join(name), bytes).unwrap();
    }
    for (number, architecture) in ["amd64", "arm64"].iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let wanted = Platform::new("linux", architecture, None);
        let source = Source::<std::io::Empty>::Path(layout.path());
        let loaded = load(&store, source, Some(&wanted)).unwrap();
        assert_eq!(loaded, [Loaded { id: ids[number].into(), names: vec!["multi:1".parse().unwrap()] }]);
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let name: Reference = "multi:1".parse().unwrap();
    load(&store, Source::<std::io::Empty>::Path(layout.path()), None).unwrap();
    assert_eq!(store.images_of(store.meaning(&name).unwrap().unwrap()).unwrap(), ids, "all of them");
    let again = saved(&store, store.meaning(&name).unwrap().unwrap(), &["multi:1"], Format::Docker);
    let folder = tempfile::tempdir().unwrap();
    let other = open(folder.path());
    load_bytes(&other, &again).unwrap();
    assert_eq!(other.meaning(&name).unwrap(), store.meaning(&name).unwrap(), "and out and in again");
    std::fs::remove_file(layout.path().join(format!("blobs/sha256/{}", ids[1].hex()))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    load(&store, Source::<std::io::Empty>::Path(layout.path()), None).unwrap();
    assert_eq!(store.meaning(&name).unwrap(), Some(ids[0].into()), "what is not whole is left out");
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let wanted = Platform::new("linux", "s390x", None);
    let error = load(&store, Source::<std::io::Empty>::Path(layout.path()), Some(&wanted)).unwrap_err();
    assert!(matches!(error, ArchiveError::NoPlatform { .. }), "{error}");
    assert_empty(&store);
}

#[test]
fn broken_and_hostile_archives_change_nothing() {
    let layer = layer_tar();
    let config = config_for(&[&layer]);
    let other = config_for(&[b"other"]);
    let manifest = docker_manifest("c", &["a:1"], &["l"]);
    let good: [(&str, &[u8]); 3] = [("c", &config), ("l", &layer), ("manifest.json", &manifest)];
    let with = |extra: (&str, &[u8])| tar_of(&[&good[..], &[extra]].concat());
    let replaced = |config: &[u8], layer: &[u8], manifest: &[u8]| {
        tar_of(&[("c", config), ("l", layer), ("manifest.json", manifest)])
    };
    let lying = docker_manifest(&format!("blobs/sha256/{}", Digest::of(b"x").hex()), &[], &["l"]);
    let huge = vec![b' '; (16 << 20) + 1];
    let whole = tar_of(&good);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("dots", with(("../evil", b"x")), "leads out of the archive"),
        ("absolute", with(("/evil", b"x")), "leads out of the archive"),
        ("link out", with(("a/b", b"-> ../../x")), "leads out of the archive"),
        ("duplicate", with(("l", &layer)), "two members"),
        (
            "cycle",
            tar_of(&[("c", &config), ("l", b"-> m"), ("m", b"-> l"), good[2]]),
            "link that leads to no file",
        ),
        ("dangling", tar_of(&[("c", &config), ("l", b"-> m"), good[2]]), "link that leads to no file"),
        ("no layer", tar_of(&[good[0], good[2]]), "no member \"l\""),
        ("no config", tar_of(&[good[1], good[2]]), "no member \"c\""),
        ("nothing", tar_of(&[("x", b"x")]), "unrecognized image format"),
        ("manifest dots", replaced(&config, &layer, &docker_manifest("../c", &[], &["l"])), "leads out"),
        ("bad json", replaced(&config, &layer, b"[{]"), "parse \"manifest.json\""),
        ("bad config", replaced(b"{}", &layer, &manifest), "parse image config"),
        ("bad name", replaced(&config, &layer, &docker_manifest("c", &["A:b"], &["l"])), "must be lowercase"),
        ("layer count", replaced(&config, &layer, &docker_manifest("c", &[], &[])), "layers length mismatch"),
        ("wrong layer", replaced(&other, &layer, &manifest), "is corrupt: the image config expects"),
        ("huge", replaced(&config, &layer, &huge), "documents may have"),
        (
            "lying name",
            tar_of(&[
                (&format!("blobs/sha256/{}", Digest::of(b"x").hex()), &config),
                good[1],
                ("manifest.json", &lying),
            ]),
            "is corrupt: expected sha256:",
        ),
        ("cut off", whole[..512 + 100].to_vec(), ""),
        ("cut in a header", whole[..1024 + 100].to_vec(), ""),
        ("cut gzip", gzip(&whole)[..100].to_vec(), ""),
        (
            "broken layer",
            replaced(&config_for(&[b"no tar at all"]), b"no tar at all", &manifest),
            "layer \"l\"",
        ),
    ];
    for (name, archive, expected) in cases {
        for from_file in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path());
            let result = if from_file { load_file(&store, &archive) } else { load_bytes(&store, &archive) };
            let error = result.expect_err(name).to_string();
            assert!(error.contains(expected), "{name}: {error}");
            assert_empty(&store);
        }
    }
}

#[test]
fn an_imported_tar_becomes_one_layer() {
    let layer = layer_tar();
    for tar in [layer.clone(), gzip(&layer), zstd::encode_all(layer.as_slice(), 1).unwrap()] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let settings = Import {
            config: ContainerConfig { cmd: vec!["/hello".into()], ..ContainerConfig::default() },
            message: "Imported from -".into(),
            created: Timestamp::new(1_700_000_000, 0),
            platform: Platform::new("linux", "amd64", None),
        };
        let id = import(&store, Cursor::new(&tar), settings).unwrap();
        let image = store.image(id).unwrap().unwrap();
        assert_eq!(image.config.rootfs.diff_ids, [DiffId(Digest::of(&layer))]);
        assert_eq!(image.config.history[0].comment, "Imported from -");
        assert!(members_of(&saved(&store, id, &[], Format::Docker)).iter().any(|(_, bytes)| *bytes == layer));
    }
}

/// Proving a layer takes several threads. One that waits for the others must not begin with the next layer: it would
/// wait for itself.
#[test]
fn layers_of_an_earlier_boot_prove_themselves_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let image = {
        let store = open(folder.path());
        let layers: Vec<_> = (0..6).map(|number| layer_of_directories(&store, number)).collect();
        let diff_ids = layers.iter().map(|layer| layer.diff_id().unwrap()).collect();
        let config =
            ImageConfig { rootfs: RootFs { kind: LayersKind::Layers, diff_ids }, ..ImageConfig::default() };
        let ids: Vec<_> = layers.iter().map(crate::store::Layer::id).collect();
        store.put_image(&config.to_bytes(), &ids).unwrap()
    };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
    let selection = Selection { id: image.into(), names: Vec::new() };
    for boot in 0..8 {
        for layer in std::fs::read_dir(folder.path().join("v1/layers")).unwrap() {
            let (meta, durable) =
                ["meta.json", "durable"].map(|name| layer.as_ref().unwrap().path().join(name)).into();
            let mut json: Value = serde_json::from_slice(&std::fs::read(&meta).unwrap()).unwrap();
            json["boot"] = boot.to_string().into();
            std::fs::write(&meta, json.to_string()).unwrap();
            assert_eq!(std::fs::remove_file(durable).is_ok(), boot > 0);
        }
        let (store, selection) = (open(folder.path()), [selection.clone()]);
        threads.install(|| save(&store, &selection, std::io::sink(), Format::Docker)).unwrap();
    }
}

fn layer_of_directories(store: &Store, number: usize) -> crate::store::Layer {
    let temp = store.temp().unwrap();
    temp.make_dir("fs", 0o755).unwrap();
    for name in 0..32 {
        let path = temp.path().join(format!("fs/{name}"));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("file"), number.to_string()).unwrap();
    }
    store.publish_layer(temp, OwnTimes::IgnoreAll).unwrap()
}
