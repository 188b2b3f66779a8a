//! A case as it lies in `fixtures/conformance/cases`.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One build.
    Build,
    /// Several builds in one store.
    Sequence,
    /// `rbuild build --check`.
    Lint,
}

/// A folder with `case.json` and `expect.json`.
#[derive(Debug)]
pub(super) struct Case {
    /// Name of the folder.
    pub(super) name: String,
    /// The folder.
    pub(super) dir: PathBuf,
    /// `case.json`.
    pub(super) spec: Value,
    /// `expect.json`.
    pub(super) expected: Value,
}

impl Case {
    fn read(dir: PathBuf) -> Self {
        let json = |name: &str| -> Value {
            let path = dir.join(name);
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let name = dir.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        Self { name, spec: json("case.json"), expected: json("expect.json"), dir }
    }

    /// Every case of a folder, by name.
    pub(super) fn all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut cases: Vec<_> = entries.map(|entry| Self::read(entry.expect("a case").path())).collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    /// What it is about.
    pub(super) fn kind(&self) -> Kind {
        match (self.spec.get("sequence").is_some(), self.spec["lint"] == true) {
            (true, _) => Kind::Sequence,
            (_, true) => Kind::Lint,
            _ => Kind::Build,
        }
    }

    /// Whether it has a store that no other case writes to.
    pub(super) fn has_own_store(&self) -> bool {
        self.kind() == Kind::Sequence || self.spec["fresh_store"] == true
    }

    /// One line on what it shows.
    pub(super) fn summary(&self) -> &str {
        self.spec["summary"].as_str().unwrap_or_default()
    }

    /// Whether it has that tag.
    pub(super) fn is_tagged(&self, tag: &str) -> bool {
        self.spec["tags"].as_array().is_some_and(|tags| tags.iter().any(|t| t == tag))
    }
}
