//! Whether two images are the same but for times.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::archive::{Image, Kind};

/// All that counts of a file.
#[derive(Debug, PartialEq)]
struct File {
    kind: Kind,
    mode: u32,
    owner: (u64, u64),
    xattrs: BTreeMap<String, Vec<u8>>,
}

/// An image without times, and without the digests of layers, which cover times.
#[derive(Debug, PartialEq)]
pub(super) struct Comparable {
    files: BTreeMap<String, File>,
    config: Value,
}

impl Comparable {
    /// The image `x` of a store.
    pub(super) fn of(sandbox: &Sandbox) -> Self {
        Self::of_image(Image::only(&sandbox.rbuild(&["save", "x"]).succeeded().bytes))
    }

    pub(super) fn of_image(image: Image) -> Self {
        let file = |(path, node): (String, crate::support::archive::Node)| {
            let owner = (node.uid, node.gid);
            (path, File { kind: node.kind, mode: node.mode, owner, xattrs: node.xattrs })
        };
        let mut config = image.config;
        let object = config.as_object_mut().expect("an object");
        object.remove("created");
        object.remove("rootfs");
        for entry in object.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
            entry.as_object_mut().expect("an object").remove("created");
        }
        Self { files: image.tree.into_iter().map(file).collect(), config }
    }

    /// What differs, in a few lines.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let mut found = Vec::new();
        let paths: std::collections::BTreeSet<&String> =
            self.files.keys().chain(other.files.keys()).collect();
        for path in paths {
            let (one, two) = (self.files.get(path), other.files.get(path));
            if one != two {
                found.push(format!("{path}: {one:?} and {two:?}"));
            }
        }
        if self.config != other.config {
            found.push(format!("configuration: {} and {}", self.config, other.config));
        }
        found.truncate(5);
        (!found.is_empty()).then(|| found.join("\n"))
    }
}
