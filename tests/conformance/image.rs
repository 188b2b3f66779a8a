//! Reads an archive of `docker save` whole: configuration, layers, files.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::tree::{Entry, Inode, Kind, Tree, problems};

/// Longest content that is kept for the diff.
const TEXT_LIMIT: usize = 2048;

/// An image.
#[derive(Debug)]
pub(super) struct Image {
    /// The image configuration.
    pub(super) config: Value,
    /// Names in the archive.
    pub(super) names: Vec<String>,
    /// SHA-256 of each layer's tar, `sha256:…`.
    pub(super) diff_ids: Vec<String>,
    /// Each layer's entries, in their order.
    pub(super) layers: Vec<Vec<Entry>>,
    /// The layers put together.
    pub(super) tree: Tree,
    /// What no image should have, such as a blob with a wrong name.
    pub(super) problems: Vec<String>,
}

impl Image {
    /// Reads the first image of an archive. The error says why that cannot be done.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let blobs = blobs(path)?;
        let manifests: Value =
            serde_json::from_slice(blob(&blobs, "manifest.json")?).map_err(|e| e.to_string())?;
        let manifest = &manifests[0];
        let strings = |key: &str| -> Vec<&str> {
            manifest[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let config_name = manifest["Config"].as_str().ok_or("manifest.json has no Config")?;
        let raw = blob(&blobs, config_name)?;
        let mut image = Self {
            config: serde_json::from_slice(raw).map_err(|e| format!("{config_name}: {e}"))?,
            names: strings("RepoTags").into_iter().map(str::to_owned).collect(),
            diff_ids: Vec::new(),
            layers: Vec::new(),
            tree: Tree::default(),
            problems: Vec::new(),
        };
        image.check_name(config_name, &sha256(raw));
        for name in strings("Layers") {
            let data = blob(&blobs, name)?;
            image.add_layer(name, data).map_err(|e| format!("{name}: {e}"))?;
        }
        image.check_config();
        Ok(image)
    }

    fn check_name(&mut self, name: &str, digest: &str) {
        let named = name.trim_start_matches("blobs/sha256/").trim_end_matches(".json");
        if named.len() == digest.len() && named != digest {
            self.problems.push(format!("{name} is not named after its digest"));
        }
    }

    fn add_layer(&mut self, name: &str, data: &[u8]) -> std::io::Result<()> {
        let digest = sha256(data);
        self.check_name(name, &digest);
        let mut plain = Vec::new();
        if data.starts_with(&[0x1f, 0x8b]) {
            MultiGzDecoder::new(data).read_to_end(&mut plain)?;
            self.diff_ids.push(format!("sha256:{}", sha256(&plain)));
        } else {
            self.diff_ids.push(format!("sha256:{digest}"));
        }
        let entries = layer(if plain.is_empty() { data } else { &plain })?;
        let number = self.layers.len() + 1;
        self.problems.extend(problems(&entries).into_iter().map(|p| format!("layer {number}: {p}")));
        self.tree.add(&entries);
        self.layers.push(entries);
        Ok(())
    }

    fn check_config(&mut self) {
        let claimed = self.config["rootfs"]["diff_ids"].as_array().map_or(&[][..], Vec::as_slice);
        if claimed != self.diff_ids {
            self.problems.push("rootfs.diff_ids do not match the layers".into());
        }
        let history = self.config["history"].as_array().map_or(&[][..], Vec::as_slice);
        let filled = history.iter().filter(|entry| entry["empty_layer"] != true).count();
        let count = self.layers.len();
        if !history.is_empty() && filled != count {
            let problem = format!("{filled} history entries claim a layer, but there are {count} layers");
            self.problems.push(problem);
        }
    }
}

/// The files of the archive by name; links are names of their target's content.
fn blobs(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let read = || -> std::io::Result<_> {
        let (mut files, mut links) = (BTreeMap::new(), Vec::new());
        for entry in tar::Archive::new(std::fs::File::open(path)?).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            if let Some(target) = entry.link_name()? {
                links.push((name, target.to_string_lossy().trim_start_matches("../").to_owned()));
                continue;
            }
            let mut data = Vec::new();
            entry.read_to_end(&mut data)?;
            files.insert(name, data);
        }
        for (name, target) in links {
            if let Some(data) = files.get(&target).cloned() {
                files.insert(name, data);
            }
        }
        Ok(files)
    };
    read().map_err(|e| format!("cannot read the archive: {e}"))
}

fn blob<'b>(blobs: &'b BTreeMap<String, Vec<u8>>, name: &str) -> Result<&'b [u8], String> {
    blobs.get(name).map(Vec::as_slice).ok_or_else(|| format!("the archive lacks {name}"))
}

fn sha256(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn layer(data: &[u8]) -> std::io::Result<Vec<Entry>> {
    tar::Archive::new(data).entries()?.map(|entry| read_entry(entry?)).collect()
}

fn read_entry<R: Read>(mut entry: tar::Entry<'_, R>) -> std::io::Result<Entry> {
    let path = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
    let mut capability = None;
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        if record.key() == Ok("SCHILY.xattr.security.capability") {
            capability = Some(hex(record.value_bytes()));
        }
    }
    let target = entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
    let target = target.unwrap_or_default();
    let header = entry.header();
    let (mode, mtime) = (header.mode()? & 0o7777, header.mtime()?);
    let inode = Inode { mode, uid: header.uid()?, gid: header.gid()?, mtime, capability };
    let number = |n: std::io::Result<Option<u32>>| n.ok().flatten().unwrap_or_default();
    let device = format!("{}:{}", number(header.device_major()), number(header.device_minor()));
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Dir,
        EntryType::Symlink => Kind::Symlink(target),
        EntryType::Link => Kind::Hardlink(target),
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char => Kind::Char(device),
        EntryType::Block => Kind::Block(device),
        _ => {
            let mut data = Vec::new();
            entry.read_to_end(&mut data)?;
            Kind::File { size: data.len() as u64, sha256: sha256(&data), text: printable(data) }
        }
    };
    Ok(Entry { path, kind, inode })
}

/// Content that can be shown.
fn printable(data: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(data).ok().filter(|text| text.len() <= TEXT_LIMIT)?;
    let shown = |c: char| matches!(c, '\n' | '\t' | '\r') || !c.is_ascii_control();
    text.chars().all(shown).then_some(text)
}
