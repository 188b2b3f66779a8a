//! Where docker listens, as docker's own command line finds out.

use std::path::{Path, PathBuf};

use rbuild_image::daemon::Address;
use rbuild_image::digest::Digest;
use serde_json::Value;

use super::Environment;
use crate::exit::Failure;

/// Where it listens if nobody says anything.
const DEFAULT: &str = "/var/run/docker.sock";

/// `DOCKER_HOST`, else the host of the context (`DOCKER_CONTEXT`, else the one in `config.json`), else the socket of
/// the machine's docker or of the user's own.
pub(crate) fn address(environment: &Environment) -> Result<Address, Failure> {
    let set = |name| environment.value(name).filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return parse(&host, "DOCKER_HOST");
    }
    let folder = environment.path("DOCKER_CONFIG").or_else(|| Some(environment.home()?.join(".docker")));
    let configured = || current_context(folder.as_deref()?);
    match set("DOCKER_CONTEXT").or_else(configured).filter(|context| context != "default") {
        Some(context) => {
            let what = format!("docker's context {context:?}");
            let host = folder.as_deref().and_then(|folder| host_of(folder, &context));
            parse(&host.ok_or_else(|| Failure::new(format!("{what} is not known")))?, &what)
        }
        None => Ok(Address::Unix(socket(environment))),
    }
}

fn parse(text: &str, what: &str) -> Result<Address, Failure> {
    text.parse().map_err(|error| Failure::new(format!("{what}: {error}")))
}

fn socket(environment: &Environment) -> PathBuf {
    let own = environment.path("XDG_RUNTIME_DIR").map(|folder| folder.join("docker.sock"));
    match own {
        Some(own) if own.exists() && !Path::new(DEFAULT).exists() => own,
        _ => DEFAULT.into(),
    }
}

fn current_context(folder: &Path) -> Option<String> {
    let config = read(&folder.join("config.json"))?;
    Some(config["currentContext"].as_str()?.to_owned()).filter(|context| !context.is_empty())
}

/// Contexts lie in folders that are called after the SHA-256 of their names.
fn host_of(folder: &Path, context: &str) -> Option<String> {
    let name = Digest::of(context.as_bytes()).hex();
    let meta = read(&folder.join("contexts/meta").join(name).join("meta.json"))?;
    Some(meta["Endpoints"]["docker"]["Host"].as_str()?.to_owned())
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_the_context_and_the_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_str().expect("text");
        let name = Digest::of(b"other").hex();
        let context = folder.path().join("contexts/meta").join(name);
        std::fs::create_dir_all(&context).expect("folders");
        let meta = r#"{"Name":"other","Endpoints":{"docker":{"Host":"unix:///other.sock"}}}"#;
        std::fs::write(context.join("meta.json"), meta).expect("a file");
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"other"}"#).expect("a file");
        for (variables, want) in [
            (&[][..], Some("unix:///var/run/docker.sock")),
            (&[("DOCKER_CONFIG", path)], Some("unix:///other.sock")),
            (&[("DOCKER_CONFIG", path), ("DOCKER_CONTEXT", "default")], Some("unix:///var/run/docker.sock")),
            (&[("DOCKER_CONFIG", path), ("DOCKER_CONTEXT", "none")], None),
            (&[("DOCKER_CONFIG", path), ("DOCKER_HOST", "tcp://h:1")], Some("tcp://h:1")),
            (&[("DOCKER_HOST", "ssh://h")], None),
        ] {
            let found = address(&Environment::of(variables)).ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), want, "{variables:?}");
        }
    }
}
