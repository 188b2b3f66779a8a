//! Who we are at which registry: docker's `config.json`, credential helpers and stores.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::endpoint::{HUB_KEY, credential_key};
use super::error::RegistryError;
use super::http::printable;

/// What docker's helpers call the user of an identity token.
const TOKEN_USER: &str = "<token>";

/// A text that is not shown: not by `Debug`, and in no error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password or access token.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// What a token server gave at the login in place of a password.
    Identity {
        /// The name that logged in; may be empty.
        username: String,
        /// The token.
        token: Secret,
    },
    /// A bearer token for the registry itself.
    Registry(Secret),
}

/// The files in which logins are kept.
#[derive(Debug, Clone, Default)]
pub struct DockerConfig {
    files: Vec<PathBuf>,
}

impl DockerConfig {
    /// Looks into these files, the first before the second. Logins are written into the first. None has to be there.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files }
    }

    /// The login for a registry, by the domain of image names.
    ///
    /// # Errors
    /// When a file is there and cannot be read, or a helper fails.
    pub fn lookup(&self, domain: &str) -> Result<Option<Credential>, RegistryError> {
        let key = credential_key(domain);
        for file in &self.files {
            let Some(config) = read(file)? else { continue };
            if let Some(helper) = helper_for(&config, domain)
                && let Some(found) = ask_helper(&helper, key)?
            {
                return Ok(Some(found));
            }
            if let Some(found) = auth_entry(&config, key).and_then(|(_, entry)| decode(entry)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Keeps a login, with the helper that is set for the registry, else in the file (mode 0600). Returns whether the
    /// file has it, where anybody who can read the file can read the password.
    ///
    /// # Errors
    /// When there is no file to write to, it cannot be written, or the helper fails.
    pub fn store(&self, domain: &str, credential: &Credential) -> Result<bool, RegistryError> {
        let (file, mut config) = self.writable()?;
        let key = credential_key(domain);
        let helper = helper_for(&config, domain);
        let entry = match &helper {
            Some(helper) => {
                let (username, secret) = match credential {
                    Credential::Password { username, password } => (username.as_str(), password.reveal()),
                    Credential::Identity { token, .. } | Credential::Registry(token) => {
                        (TOKEN_USER, token.reveal())
                    }
                };
                let text = json!({"ServerURL": key, "Username": username, "Secret": secret}).to_string();
                run_helper(helper, "store", &text)?;
                json!({})
            }
            None => encode(credential),
        };
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        let auths = auths.as_object_mut().ok_or_else(|| malformed(&file, "auths is no object"))?;
        auths.insert(key.to_owned(), entry);
        write(&file, &config)?;
        Ok(helper.is_none())
    }

    /// Forgets a login; false when there was none.
    ///
    /// # Errors
    /// As [`DockerConfig::store`].
    pub fn erase(&self, domain: &str) -> Result<bool, RegistryError> {
        let (file, mut config) = self.writable()?;
        let key = credential_key(domain);
        let mut erased = false;
        if let Some(helper) = helper_for(&config, domain)
            && ask_helper(&helper, key)?.is_some()
        {
            run_helper(&helper, "erase", key)?;
            erased = true;
        }
        let name = auth_entry(&config, key).map(|(name, _)| name.to_owned());
        if let (Some(name), Some(auths)) = (name, config.get_mut("auths").and_then(Value::as_object_mut)) {
            auths.remove(&name);
            write(&file, &config)?;
            erased = true;
        }
        Ok(erased)
    }

    fn writable(&self) -> Result<(PathBuf, Map<String, Value>), RegistryError> {
        let file = self.files.first().ok_or_else(|| RegistryError::Settings {
            path: PathBuf::from("config.json"),
            reason: "there is no folder for logins: set HOME or DOCKER_CONFIG".to_owned(),
        })?;
        Ok((file.clone(), read(file)?.unwrap_or_default()))
    }
}

fn malformed(file: &Path, reason: impl ToString) -> RegistryError {
    RegistryError::Settings { path: file.to_owned(), reason: reason.to_string() }
}

fn read(file: &Path) -> Result<Option<Map<String, Value>>, RegistryError> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(RegistryError::file("read", file)(error)),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| malformed(file, error))
}

/// Beside the file and then in its place, so that nobody ever sees half of it. A link stays a link.
fn write(file: &Path, config: &Map<String, Value>) -> Result<(), RegistryError> {
    let file = fs::read_link(file).map_or_else(
        |_| file.to_owned(),
        |target| file.parent().map_or_else(|| target.clone(), |folder| folder.join(&target)),
    );
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(RegistryError::file("create", folder))?;
    let temporary = folder.join(format!(".config.json.{}", std::process::id()));
    let mut text = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, layout);
    serde::Serialize::serialize(config, &mut serializer).map_err(|error| malformed(&file, error))?;
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut out| {
            // Left behind by somebody else with another mode.
            out.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            out.write_all(&text)?;
            out.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &file));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        RegistryError::file("write", &file)(error)
    })
}

/// `credHelpers` names one for a registry, `credsStore` one for all.
fn helper_for(config: &Map<String, Value>, domain: &str) -> Option<String> {
    let helpers = config.get("credHelpers").and_then(Value::as_object);
    let named =
        helpers.and_then(|helpers| helpers.get(domain).or_else(|| helpers.get(credential_key(domain))));
    let name = named.or_else(|| config.get("credsStore"))?.as_str()?;
    // It becomes a part of a program's name.
    (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
}

/// The entry for a registry: under its own name, or under a URL of it, as old logins are.
fn auth_entry<'a>(config: &'a Map<String, Value>, key: &str) -> Option<(&'a str, &'a Value)> {
    let auths = config.get("auths")?.as_object()?;
    if let Some((name, entry)) = auths.get_key_value(key) {
        return Some((name, entry));
    }
    let wanted = bare_host(key);
    let is_hub =
        |host: &str| host == "docker.io" || host == "index.docker.io" || host == "registry-1.docker.io";
    auths
        .iter()
        .find(|(name, _)| bare_host(name) == wanted || (key == HUB_KEY && is_hub(bare_host(name))))
        .map(|(name, entry)| (name.as_str(), entry))
}

fn bare_host(text: &str) -> &str {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    text.split('/').next().unwrap_or(text)
}

fn decode(entry: &Value) -> Option<Credential> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let pair = text("auth").and_then(|auth| String::from_utf8(BASE64.decode(auth.trim()).ok()?).ok());
    let (username, password) = match &pair {
        Some(pair) => pair.split_once(':').map(|(name, password)| (name, password.trim_end_matches('\0')))?,
        None => (text("username").unwrap_or_default(), text("password").unwrap_or_default()),
    };
    if let Some(token) = text("registrytoken") {
        return Some(Credential::Registry(Secret::new(token)));
    }
    if let Some(token) = text("identitytoken") {
        return Some(Credential::Identity { username: username.to_owned(), token: Secret::new(token) });
    }
    (!username.is_empty())
        .then(|| Credential::Password { username: username.to_owned(), password: Secret::new(password) })
}

fn encode(credential: &Credential) -> Value {
    match credential {
        Credential::Password { username, password } => {
            json!({"auth": BASE64.encode(format!("{username}:{}", password.reveal()))})
        }
        Credential::Identity { username, token } => {
            json!({"auth": BASE64.encode(format!("{username}:")), "identitytoken": token.reveal()})
        }
        Credential::Registry(token) => json!({"registrytoken": token.reveal()}),
    }
}

fn ask_helper(helper: &str, key: &str) -> Result<Option<Credential>, RegistryError> {
    let answer = match run_helper(helper, "get", key) {
        Ok(answer) => answer,
        // What all helpers of docker's kit say when they know nothing; it is not an error.
        Err(RegistryError::Helper { reason, .. }) if reason.contains("credentials not found") => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let failed = |reason: &str| RegistryError::Helper { name: helper.to_owned(), reason: reason.to_owned() };
    let answer: Value = serde_json::from_slice(&answer).map_err(|_| failed("its answer is no JSON"))?;
    let username = answer["Username"].as_str().unwrap_or_default().to_owned();
    let secret = Secret::new(answer["Secret"].as_str().ok_or_else(|| failed("its answer has no secret"))?);
    Ok(Some(if username == TOKEN_USER {
        Credential::Identity { username: String::new(), token: secret }
    } else {
        Credential::Password { username, password: secret }
    }))
}

fn run_helper(helper: &str, action: &str, input: &str) -> Result<Vec<u8>, RegistryError> {
    let failed = |reason: String| RegistryError::Helper { name: helper.to_owned(), reason };
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read says so by its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    Err(failed(printable(String::from_utf8_lossy(said).trim())))
}

#[cfg(test)]
mod tests;
