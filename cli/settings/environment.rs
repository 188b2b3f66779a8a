//! The environment variables that rbuild listens to, read once and in one place.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::exit::Failure;

/// What the environment says.
///
/// | variable | meaning |
/// |---|---|
/// | `RBUILD_ROOT` | folder of the store |
/// | `RBUILD_STORE_LOWER` | a second store, which is only read |
/// | `XDG_DATA_HOME`, `HOME` | where a user's store is without it |
/// | `NO_COLOR`, `CLICOLOR_FORCE` | colours never, colours even without a terminal |
/// | `BUILDKIT_PROGRESS` | default of `build --progress` |
/// | `BUILDKIT_STEP_LOG_MAX_SIZE` | bytes of a step's output that `--progress=plain` shows, -1 for all |
/// | `DOCKER_DEFAULT_PLATFORM` | default of `--platform` |
/// | `SSH_AUTH_SOCK` | the agent that `build --ssh` means |
/// | `DOCKER_HOST`, `DOCKER_CONTEXT` | where docker listens that is handed images |
/// | `SOURCE_DATE_EPOCH` | build argument of that name, unless given |
/// | `DOCKER_CONFIG`, `REGISTRY_AUTH_FILE`, `XDG_RUNTIME_DIR`, `XDG_CONFIG_HOME` | where logins for registries are |
/// | `XDG_CONFIG_HOME` | where `rbuild/config.json` and `docker/certs.d` are |
/// | `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, also in lower case | proxies to registries |
/// | `AWS_*` | where a bucket is and who asks it, see `amazon` and `bucket` |
/// | `SSL_CERT_FILE`, `SSL_CERT_DIR` | authorities in place of the machine's (read where those are looked up) |
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: Vec<(OsString, OsString)>,
    /// Standard error is a terminal.
    pub(crate) stderr_is_terminal: bool,
    /// Standard output is a terminal.
    pub(crate) stdout_is_terminal: bool,
    /// Standard input is a terminal.
    pub(crate) stdin_is_terminal: bool,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
        }
    }

    /// An environment of a test; nothing is a terminal.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self { variables, stderr_is_terminal: false, stdout_is_terminal: false, stdin_is_terminal: false }
    }

    /// Puts what the command line says in the place of a variable.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
    }

    fn raw(&self, name: &str) -> Option<&OsString> {
        self.variables.iter().find(|(k, _)| k == name).map(|(_, v)| v).filter(|v| !v.is_empty())
    }

    /// A variable's value as a path, if it is set to something.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    /// The user's home.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.path("HOME")
    }

    /// Where the user's settings are, by the base directory specification.
    pub(crate) fn config_home(&self) -> Option<PathBuf> {
        let set = self.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        set.or_else(|| self.home().map(|home| home.join(".config")))
    }

    /// A variable's value as text, if it is set, even to nothing.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let found = self.variables.iter().find(|(k, _)| k == name);
        found.map(|(_, v)| v.to_string_lossy().into_owned())
    }

    /// The folder of the store: `RBUILD_ROOT`, else `/var/lib/rbuild` for root and `rbuild` in the user's data
    /// folder for everyone else. `is_root` is about the user who typed the command, not about a user namespace.
    pub(crate) fn store_root(&self, is_root: bool) -> Result<PathBuf, Failure> {
        if let Some(root) = self.raw("RBUILD_ROOT") {
            return std::path::absolute(root)
                .map_err(|e| Failure::new(format!("RBUILD_ROOT {}: {e}", root.display())));
        }
        if is_root {
            return Ok("/var/lib/rbuild".into());
        }
        // The base directory specification: a relative path is to be ignored.
        let data = self.raw("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let home = || self.raw("HOME").map(|h| PathBuf::from(h).join(".local/share"));
        let data = data.or_else(home).ok_or_else(|| {
            Failure::new("cannot tell where the store is: none of RBUILD_ROOT, XDG_DATA_HOME and HOME is set")
        })?;
        Ok(data.join("rbuild"))
    }

    /// True if what goes to standard error may be coloured (no-color.org, bixense.com/clicolors).
    pub(crate) fn colored_errors(&self) -> bool {
        if self.raw("NO_COLOR").is_some() {
            return false;
        }
        if self.raw("CLICOLOR_FORCE").is_some_and(|v| v != "0") {
            return true;
        }
        self.stderr_is_terminal && self.raw("TERM").is_some_and(|t| t != "dumb")
    }

    /// True if somebody sits at a terminal that a program can be given.
    pub(crate) fn is_interactive(&self) -> bool {
        self.stdin_is_terminal && self.stdout_is_terminal
    }

    /// True if a view that moves the cursor can be shown on standard error.
    pub(crate) fn live_terminal(&self) -> bool {
        self.stderr_is_terminal && self.raw("TERM").is_some_and(|t| t != "dumb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_store_is() {
        for (variables, root, want) in [
            (&[("RBUILD_ROOT", "/x"), ("HOME", "/h")][..], true, Some("/x")),
            (&[("RBUILD_ROOT", ""), ("HOME", "/h")], true, Some("/var/lib/rbuild")),
            (&[("XDG_DATA_HOME", "/d"), ("HOME", "/h")], false, Some("/d/rbuild")),
            (&[("XDG_DATA_HOME", "d"), ("HOME", "/h")], false, Some("/h/.local/share/rbuild")),
            (&[("HOME", "/h")], false, Some("/h/.local/share/rbuild")),
            (&[], false, None),
        ] {
            let got = Environment::of(variables).store_root(root).ok();
            assert_eq!(got.as_deref(), want.map(std::path::Path::new), "{variables:?}");
        }
    }

    #[test]
    fn colors() {
        for (variables, terminal, want) in [
            (&[("TERM", "xterm")][..], true, true),
            (&[("TERM", "xterm")], false, false),
            (&[("TERM", "dumb")], true, false),
            (&[("TERM", "xterm"), ("NO_COLOR", "1")], true, false),
            (&[("CLICOLOR_FORCE", "1")], false, true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
            (&[("CLICOLOR_FORCE", "0")], false, false),
        ] {
            let environment = Environment { stderr_is_terminal: terminal, ..Environment::of(variables) };
            assert_eq!(environment.colored_errors(), want, "{variables:?}");
        }
    }
}
