//! Reads an image from the tar that `save` and `--output type=docker` write, and nothing that rbuild's own code
//! shares: so a mistake there cannot hide itself here.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

/// An image: its configuration and the files of its layers put together.
#[derive(Debug)]
pub(crate) struct Image {
    /// Names in the archive.
    pub(crate) names: Vec<String>,
    /// The image configuration.
    pub(crate) config: Value,
    /// File name of the configuration, the hex of the image ID.
    pub(crate) id: String,
    /// Paths of each layer, whiteouts by their `.wh.` names.
    pub(crate) layers: Vec<Vec<String>>,
    /// The merged file system; paths without the first slash.
    pub(crate) tree: BTreeMap<String, Node>,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its type.
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u64,
    /// Group.
    pub(crate) gid: u64,
    /// Seconds.
    pub(crate) mtime: u64,
    /// Extended attributes.
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

/// The type of a file, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    Dir,
    Symlink(String),
    Hardlink(String),
    Other,
}

impl Image {
    /// Every image of an archive.
    pub(crate) fn all(archive: &[u8]) -> Vec<Self> {
        let files = files(archive);
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("manifest.json");
        manifest.as_array().expect("a list").iter().map(|m| Self::one(&files, m)).collect()
    }

    /// The only image of an archive.
    pub(crate) fn only(archive: &[u8]) -> Self {
        let mut all = Self::all(archive);
        assert_eq!(all.len(), 1, "one image");
        all.remove(0)
    }

    fn one(files: &BTreeMap<String, Vec<u8>>, manifest: &Value) -> Self {
        let config_name = manifest["Config"].as_str().expect("Config");
        let names = manifest["RepoTags"].as_array().into_iter().flatten();
        let (mut layers, mut tree) = (Vec::new(), BTreeMap::new());
        for layer in manifest["Layers"].as_array().expect("Layers") {
            let bytes = inflated(&files[layer.as_str().expect("a name")]);
            layers.push(apply(&bytes, &mut tree));
        }
        Self {
            names: names.map(|n| n.as_str().expect("a name").to_owned()).collect(),
            config: serde_json::from_slice(&files[config_name]).expect("the configuration"),
            id: config_name.rsplit('/').next().expect("a name").trim_end_matches(".json").to_owned(),
            layers,
            tree,
        }
    }

    /// The text of a file.
    #[track_caller]
    pub(crate) fn text(&self, path: &str) -> String {
        match self.tree.get(path).map(|n| &n.kind) {
            Some(Kind::File(data)) => String::from_utf8_lossy(data).into_owned(),
            other => panic!("{path} is no file: {other:?}"),
        }
    }
}

fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).expect("its data");
        files.insert(name, data);
    }
    files
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes.to_vec();
    }
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).expect("gzip");
    out
}

/// Puts a layer on top of the tree; returns its paths.
fn apply(layer: &[u8], tree: &mut BTreeMap<String, Node>) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in tar::Archive::new(layer).entries().expect("a layer") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().trim_matches('/').to_owned();
        paths.push(path.clone());
        let (dir, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(d, n)| (d, n));
        // First in its folder, as builders write it.
        if name == ".wh..wh..opq" {
            let below = format!("{dir}/");
            tree.retain(|path, _| !path.starts_with(&below));
            continue;
        }
        if let Some(gone) = name.strip_prefix(".wh.") {
            let gone = if dir.is_empty() { gone.to_owned() } else { format!("{dir}/{gone}") };
            remove(tree, &gone);
            continue;
        }
        let node = node(&mut entry);
        if node.kind != Kind::Dir {
            remove(tree, &path);
        }
        tree.insert(path, node);
    }
    paths
}

fn remove(tree: &mut BTreeMap<String, Node>, path: &str) {
    let below = format!("{path}/");
    tree.retain(|p, _| p != path && !p.starts_with(&below));
}

fn node<R: Read>(entry: &mut tar::Entry<'_, R>) -> Node {
    let link = |e: &tar::Entry<'_, R>| {
        let name = e.link_name().expect("a link").expect("a target");
        name.to_string_lossy().into_owned()
    };
    let kind = match entry.header().entry_type() {
        tar::EntryType::Regular => {
            let mut data = Vec::new();
            entry.read_to_end(&mut data).expect("its data");
            Kind::File(data)
        }
        tar::EntryType::Directory => Kind::Dir,
        tar::EntryType::Symlink => Kind::Symlink(link(entry)),
        tar::EntryType::Link => Kind::Hardlink(link(entry).trim_start_matches('/').to_owned()),
        _ => Kind::Other,
    };
    let xattrs = entry.pax_extensions().ok().flatten().into_iter().flatten().flatten().filter_map(|record| {
        let name = record.key().ok()?.strip_prefix("SCHILY.xattr.")?;
        Some((name.to_owned(), record.value_bytes().to_vec()))
    });
    let xattrs = xattrs.collect();
    let header = entry.header();
    Node {
        xattrs,
        kind,
        mode: header.mode().expect("a mode") & 0o7777,
        uid: header.uid().expect("an owner"),
        gid: header.gid().expect("a group"),
        mtime: header.mtime().expect("a time"),
    }
}
