//! Who somebody is at Amazon, or at a server that speaks S3's protocol: looked up where Amazon's own tools look.
//!
//! In this order: `AWS_ACCESS_KEY_ID` with its secret; the profile (`AWS_PROFILE`, else `default`) in
//! `~/.aws/credentials` and `~/.aws/config`, also by its `credential_process`; the role of the container
//! (`AWS_CONTAINER_CREDENTIALS_*`); the role of the machine. Ways to a key that are not known here are errors with a
//! name: to go on as nobody would only hide them.
//!
//! The files look like INI files and are none: an indented line belongs to the line above, and ` #` ends a value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rbuild_image::place::{Access, Key};
use serde::Deserialize;

use super::Environment;
use crate::exit::Failure;

/// Where keys come from that we cannot get.
const UNKNOWN_WAYS: [&str; 5] =
    ["role_arn", "sso_session", "sso_start_url", "web_identity_token_file", "login_session"];
/// Of the container agent.
const CONTAINER_HOST: &str = "http://169.254.170.2";
/// Of the machine's metadata.
const INSTANCE_HOST: &str = "http://169.254.169.254";

/// A profile of the two files.
#[derive(Debug)]
pub(super) struct Profile {
    name: String,
    members: BTreeMap<String, String>,
}

impl Profile {
    /// The profile that the environment means. It is empty where there is none and nobody asked for one.
    ///
    /// # Errors
    /// One was asked for that is not there, or a file cannot be read.
    pub(super) fn of(environment: &Environment) -> Result<Self, Failure> {
        let asked = variable(environment, &["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = asked.clone().unwrap_or_else(|| "default".to_owned());
        let home = |file: &str| environment.home().map(|home| home.join(".aws").join(file));
        let config = environment.path("AWS_CONFIG_FILE").or_else(|| home("config"));
        let credentials = environment.path("AWS_SHARED_CREDENTIALS_FILE").or_else(|| home("credentials"));
        let in_config = if name == "default" { name.clone() } else { format!("profile {name}") };
        let (mut members, mut found) = (BTreeMap::new(), false);
        // What the second says counts.
        for (file, section) in [(config, &in_config), (credentials, &name)] {
            let Some(text) = file.as_deref().map(read).transpose()?.flatten() else { continue };
            if let Some(said) = section_of(&text, section) {
                members.extend(said);
                found = true;
            }
        }
        if asked.is_some() && !found {
            let hint = "it is in neither ~/.aws/credentials nor ~/.aws/config (AWS_SHARED_CREDENTIALS_FILE, \
                        AWS_CONFIG_FILE)";
            return Err(Failure::new(format!("there is no AWS profile {name:?}")).with_hint(hint));
        }
        Ok(Self { name, members })
    }

    /// A setting: `region`.
    pub(super) fn member(&self, name: &str) -> Option<String> {
        self.members.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// Who somebody is.
    ///
    /// # Errors
    /// There is a key, and no way for us to get it.
    pub(super) fn access(&self, environment: &Environment) -> Result<Access, Failure> {
        let id = variable(environment, &["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"]);
        let secret = variable(environment, &["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"]);
        if let Some((id, secret)) = id.zip(secret) {
            return Ok(Access::Key(Key { id, secret, token: variable(environment, &["AWS_SESSION_TOKEN"]) }));
        }
        let id = self.member("aws_access_key_id");
        if let Some((id, secret)) = id.zip(self.member("aws_secret_access_key")) {
            return Ok(Access::Key(Key { id, secret, token: self.member("aws_session_token") }));
        }
        if let Some(command) = self.member("credential_process") {
            return printed_by(&command).map(Access::Key);
        }
        let in_profile = UNKNOWN_WAYS.into_iter().find(|way| self.members.contains_key(*way));
        let in_environment = variable(environment, &["AWS_WEB_IDENTITY_TOKEN_FILE"]);
        let way = match (in_profile, in_environment) {
            (Some(way), _) => Some(format!("the AWS profile {:?} gets its key by {way}", self.name)),
            (None, Some(_)) => Some("AWS_WEB_IDENTITY_TOKEN_FILE is set".to_owned()),
            (None, None) => None,
        };
        match way {
            Some(way) => Err(Failure::new(format!("{way}, which rbuild cannot do")).with_hint(
                "`aws configure export-credentials --format env` prints a key for the environment, and can be a \
                 profile's credential_process",
            )),
            None => of_machine(environment),
        }
    }
}

fn variable(environment: &Environment, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| environment.value(name).filter(|value| !value.is_empty()))
}

/// What the container or the machine is, in places that are asked when a key is needed.
fn of_machine(environment: &Environment) -> Result<Access, Failure> {
    let relative = variable(environment, &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]);
    let url = relative
        .map(|path| format!("{CONTAINER_HOST}{path}"))
        .or_else(|| variable(environment, &["AWS_CONTAINER_CREDENTIALS_FULL_URI"]));
    if let Some(url) = url {
        let token = match environment.path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(file) => read(&file)?.map(|text| text.trim().to_owned()),
            None => variable(environment, &["AWS_CONTAINER_AUTHORIZATION_TOKEN"]),
        };
        return Ok(Access::Container { url, token });
    }
    let disabled = variable(environment, &["AWS_EC2_METADATA_DISABLED"]);
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Access::Anybody);
    }
    let url = variable(environment, &["AWS_EC2_METADATA_SERVICE_ENDPOINT"]);
    Ok(Access::Instance { url: url.unwrap_or_else(|| INSTANCE_HOST.to_owned()) })
}

/// A file's text; None if there is none.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(format!("read {}: {error}", PathBuf::from(path).display()))),
    }
}

/// The members of a section; None if the file has no such section.
fn section_of(text: &str, wanted: &str) -> Option<BTreeMap<String, String>> {
    let (mut members, mut found, mut inside) = (BTreeMap::new(), false, false);
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            inside = name.split_whitespace().collect::<Vec<_>>().join(" ") == wanted;
            found |= inside;
        } else if inside && let Some((name, value)) = line.split_once('=') {
            members.insert(name.trim().to_ascii_lowercase(), without_comment(value).trim().to_owned());
        }
    }
    found.then_some(members)
}

/// A value up to a blank with `#` or `;` behind it.
fn without_comment(value: &str) -> &str {
    let ends = [" #", " ;", "\t#", "\t;"];
    let end = ends.iter().filter_map(|end| value.find(end)).min();
    &value[..end.unwrap_or(value.len())]
}

/// What a `credential_process` prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

fn printed_by(command: &str) -> Result<Key, Failure> {
    let failed =
        |what: &dyn std::fmt::Display| Failure::new(format!("credential_process {command:?}: {what}"));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = shell.output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    let printed: Printed = serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))?;
    let Printed { access_key_id: id, secret_access_key: secret, session_token: token } = printed;
    Ok(Key { id, secret, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = d\naws_secret_access_key=s/+=\n\n\
                               [ci]\naws_access_key_id=c # the team's\naws_secret_access_key=#hash\n\
                               aws_session_token = t\n[half]\naws_access_key_id = h\n";
    const CONFIG: &str = "[default]\nregion = eu-central-1\ns3 =\n  region = no\n[profile ci]\nregion=us-west-2\n\
                          [profile sso]\nsso_session = corp\n\
                          [profile run]\ncredential_process = printf '{\"Version\":1,\"AccessKeyId\":\"p\",\"SecretAccessKey\":\"q\"}'\n\
                          [profile ran]\ncredential_process = exit 3\n";

    /// What is found with these variables, in words.
    fn found(variables: &[(&str, &str)]) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let aws = folder.path().join(".aws");
        std::fs::create_dir(&aws).expect("a folder");
        std::fs::write(aws.join("credentials"), CREDENTIALS).expect("written");
        std::fs::write(aws.join("config"), CONFIG).expect("written");
        let home = folder.path().to_string_lossy().into_owned();
        let environment = Environment::of(&[&[("HOME", &home[..])], variables].concat());
        let said = |failure: Failure| failure.message.unwrap_or_default();
        let profile = Profile::of(&environment).map_err(said)?;
        let region = profile.member("region").unwrap_or_default();
        Ok(match profile.access(&environment).map_err(said)? {
            Access::Key(Key { id, secret, token }) => {
                format!("{id} {secret} {} {region}", token.unwrap_or_default())
            }
            Access::Anybody => "anybody".to_owned(),
            Access::Container { url, token } => format!("{url} {}", token.unwrap_or_default()),
            Access::Instance { url } => url,
        })
    }

    #[test]
    fn who_somebody_is() {
        let nowhere = [("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"), ("AWS_CONFIG_FILE", "/nowhere")];
        let ok = |text: &str| Ok(text.to_owned());
        for (variables, want) in [
            (&[][..], ok("d s/+=  eu-central-1")),
            (&[("AWS_PROFILE", "ci")], ok("c #hash t us-west-2")),
            (&[("AWS_PROFILE", "run")], ok("p q  ")),
            (
                &[("AWS_PROFILE", "ci"), ("AWS_ACCESS_KEY_ID", "e"), ("AWS_SECRET_ACCESS_KEY", "f")],
                ok("e f  us-west-2"),
            ),
            (&nowhere, ok("http://169.254.169.254")),
            (&[nowhere[0], nowhere[1], ("AWS_EC2_METADATA_DISABLED", "true")], ok("anybody")),
            (
                &[nowhere[0], nowhere[1], ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")],
                ok("http://169.254.170.2/v2/x "),
            ),
            (
                &[
                    nowhere[0],
                    nowhere[1],
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/y"),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok"),
                ],
                ok("http://127.0.0.1/y tok"),
            ),
        ] {
            assert_eq!(found(variables), want, "{variables:?}");
        }
        for (profile, says) in [
            ("none", "no AWS profile \"none\""),
            ("sso", "by sso_session, which rbuild cannot do"),
            ("ran", "exit status: 3"),
        ] {
            let error = found(&[("AWS_PROFILE", profile)]).expect_err("it cannot be used");
            assert!(error.contains(says), "{error}");
        }
    }
}
