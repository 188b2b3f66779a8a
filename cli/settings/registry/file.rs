//! `config.json` of rbuild: which registries have mirrors, and which may be insecure.
//!
//! ```json
//! {
//!   "registries": {
//!     "docker.io": { "mirrors": ["https://mirror.example"] },
//!     "registry.example:5000": { "insecure": true }
//!   },
//!   "parallel-transfers": 6
//! }
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use rbuild_image::registry::Settings;
use serde::Deserialize;

use crate::exit::Failure;

/// More would only keep a registry from answering anybody else.
const MOST_TRANSFERS: usize = 64;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    #[serde(default)]
    registries: BTreeMap<String, Entry>,
    parallel_transfers: Option<usize>,
}

/// What it says about one registry (`host[:port]`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    mirrors: Vec<String>,
    #[serde(default)]
    insecure: bool,
}

impl ConfigFile {
    /// The file at `path`; None if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let wrong = |cause: &dyn std::fmt::Display| Failure::new(format!("{}: {cause}", path.display()));
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(&error)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(wrong(&error)),
        }
    }

    /// Puts what it says into the settings; `path` is for complaints.
    pub(super) fn apply(self, path: &Path, settings: &mut Settings) -> Result<(), Failure> {
        let wrong = |what: String| Failure::new(format!("{}: {what}", path.display()));
        for (domain, entry) in self.registries {
            if domain.is_empty() || domain.contains('/') {
                return Err(wrong(format!("registry {domain:?} is not of the form host[:port]")));
            }
            if let Some(bad) = entry.mirrors.iter().find(|mirror| !is_mirror(mirror)) {
                return Err(wrong(format!(
                    "mirror {bad:?} of {domain} is not of the form http[s]://host[:port]"
                )));
            }
            if !entry.mirrors.is_empty() {
                settings.mirrors.insert(domain.clone(), entry.mirrors);
            }
            if entry.insecure {
                settings.insecure.insert(domain);
            }
        }
        if let Some(count) = self.parallel_transfers {
            if !(1..=MOST_TRANSFERS).contains(&count) {
                return Err(wrong(format!(
                    "parallel-transfers is {count}, not between 1 and {MOST_TRANSFERS}"
                )));
            }
            settings.parallel = count;
        }
        Ok(())
    }
}

/// A host, with or without a scheme; no path, which the distribution API has no place for.
fn is_mirror(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = host.strip_suffix('/').unwrap_or(host);
    !host.is_empty() && !host.contains(['/', ' ', '@'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).expect("a file");
        let mut settings = Settings::default();
        ConfigFile::read(&path)?.expect("it is there").apply(&path, &mut settings)?;
        Ok(settings)
    }

    #[test]
    fn what_it_says_counts() {
        let text = r#"{"registries": {"docker.io": {"mirrors": ["https://m.example/", "n:5000"]},
                       "r:5000": {"insecure": true}}, "parallel-transfers": 3}"#;
        let found = settings(text).expect("good");
        assert_eq!(found.mirrors["docker.io"], ["https://m.example/", "n:5000"]);
        assert_eq!(found.insecure.into_iter().collect::<Vec<_>>(), ["r:5000"]);
        assert_eq!(found.parallel, 3);
        assert!(ConfigFile::read(Path::new("/nonexistent/config.json")).expect("no error").is_none());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, says) in [
            ("{", "config.json: EOF"),
            (r#"{"registry": {}}"#, "unknown field `registry`"),
            (r#"{"registries": {"https://x/": {}}}"#, "host[:port]"),
            (r#"{"registries": {"x": {"mirrors": ["https://m/path"]}}}"#, "mirror \"https://m/path\" of x"),
            (r#"{"parallel-transfers": 0}"#, "between 1 and 64"),
        ] {
            let message = settings(text).expect_err(text).message.unwrap_or_default();
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
