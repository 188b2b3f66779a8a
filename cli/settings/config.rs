//! `config.json` of rbuild: the machine's in `/etc/rbuild`, and the user's, which adds to it.
//!
//! ```json
//! {
//!   "registries": {
//!     "docker.io": { "mirrors": ["https://mirror.example"] },
//!     "registry.example:5000": { "insecure": true }
//!   },
//!   "parallel-transfers": 6,
//!   "store-lower": "/ci/store",
//!   "cache-mounts": { "transactions": true },
//!   "builder": { "gc": { "enabled": true, "defaultReservedSpace": "10%", "defaultMaxUsedSpace": "60%",
//!                        "defaultMinFreeSpace": "20%", "policy": [] } }
//! }
//! ```

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rbuild_builder::cache_mount::Locked;
use rbuild_builder::room::Rule;
use rbuild_image::registry::Settings;
use serde::Deserialize;

use super::Environment;
use super::collection::Collection;
use crate::exit::Failure;

/// More would only keep a registry from answering anybody else.
const MOST_TRANSFERS: usize = 64;

/// What all files say; for what only one of them can say, the last one counts.
#[derive(Debug, Default)]
pub(crate) struct Config {
    files: Vec<(PathBuf, ConfigFile)>,
}

/// One file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ConfigFile {
    #[serde(default)]
    registries: BTreeMap<String, Entry>,
    parallel_transfers: Option<usize>,
    #[serde(default)]
    cache_mounts: CacheMounts,
    #[serde(default)]
    builder: Builder,
    store_lower: Option<PathBuf>,
}

/// The part of docker's `daemon.json` that is about the build cache.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Builder {
    gc: Option<Collection>,
}

/// What it says about `RUN --mount=type=cache`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CacheMounts {
    transactions: Option<bool>,
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

impl Config {
    /// Reads the files.
    ///
    /// # Errors
    /// One that is there cannot be read, or does not say what it could.
    pub(crate) fn read(environment: &Environment) -> Result<Self, Failure> {
        let own = environment.config_home().map(|config| config.join("rbuild/config.json"));
        let mut files = Vec::new();
        for path in std::iter::once("/etc/rbuild/config.json".into()).chain(own) {
            if let Some(file) = ConfigFile::read(&path)? {
                files.push((path, file));
            }
        }
        Ok(Self { files })
    }

    /// Puts what is said about registries into the settings.
    pub(super) fn apply(self, settings: &mut Settings) -> Result<(), Failure> {
        self.files.into_iter().try_for_each(|(path, file)| file.apply(&path, settings))
    }

    /// How caches with `sharing=locked` are written.
    pub(crate) fn locked_caches(&self) -> Locked {
        match self.last(|file| file.cache_mounts.transactions) {
            Some(false) => Locked::InPlace,
            Some(true) | None => Locked::Transaction,
        }
    }

    /// The folder of a second store that is only read.
    pub(crate) fn store_lower(&self) -> Option<PathBuf> {
        self.last(|file| file.store_lower.clone())
    }

    /// What the build cache is brought within by itself, rule by rule; none if it never is.
    ///
    /// # Errors
    /// A limit is no size, or a filter is none.
    pub(crate) fn cache_rules(&self) -> Result<Vec<Rule>, Failure> {
        self.last(|file| file.builder.gc.clone()).unwrap_or_default().rules()
    }

    fn last<T>(&self, said: impl Fn(&ConfigFile) -> Option<T>) -> Option<T> {
        self.files.iter().rev().find_map(|(_, file)| said(file))
    }
}

impl ConfigFile {
    /// The file at `path`; None if there is none.
    fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let wrong = |cause: &dyn std::fmt::Display| Failure::new(format!("{}: {cause}", path.display()));
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(&error)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(wrong(&error)),
        }
    }

    /// Puts what it says into the settings; `path` is for complaints.
    fn apply(self, path: &Path, settings: &mut Settings) -> Result<(), Failure> {
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
        std::fs::create_dir(folder.path().join("rbuild")).expect("a folder");
        std::fs::write(folder.path().join("rbuild/config.json"), text).expect("a file");
        let home = folder.path().to_str().expect("text");
        let mut settings = Settings::default();
        Config::read(&Environment::of(&[("XDG_CONFIG_HOME", home)]))?.apply(&mut settings)?;
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
