//! How to talk to registries: what the environment, docker's files and rbuild's own say.

mod transfer;

use std::path::PathBuf;

use rbuild_image::registry::{DockerConfig, Proxies, Settings};

use super::{Config, Environment};
use crate::exit::Failure;

pub(crate) use transfer::{PullSettings, PushSettings};
pub(super) use transfer::{chosen_compression, compression};

/// What a client of registries has to know.
///
/// # Errors
/// A configuration file of rbuild that is there cannot be used.
pub(crate) fn registry(environment: &Environment) -> Result<Settings, Failure> {
    let mut settings = Settings {
        credentials: DockerConfig::new(credential_files(environment)),
        certificates: certificate_folders(environment),
        proxies: proxies(environment),
        ..Settings::default()
    };
    Config::read(environment)?.apply(&mut settings)?;
    Ok(settings)
}

/// Where logins are kept and looked for: docker's file, then podman's.
pub(crate) fn credential_files(environment: &Environment) -> Vec<PathBuf> {
    let mut files = Vec::new();
    files.extend(environment.path("DOCKER_CONFIG").map(|folder| folder.join("config.json")));
    if files.is_empty() {
        files.extend(environment.home().map(|home| home.join(".docker/config.json")));
    }
    files.extend(environment.path("REGISTRY_AUTH_FILE"));
    files.extend(environment.path("XDG_RUNTIME_DIR").map(|run| run.join("containers/auth.json")));
    files.extend(environment.config_home().map(|config| config.join("containers/auth.json")));
    files
}

/// The user's before the machine's.
fn certificate_folders(environment: &Environment) -> Vec<PathBuf> {
    let own = environment.config_home().map(|config| config.join("docker/certs.d"));
    own.into_iter().chain(["/etc/docker/certs.d".into(), "/etc/containers/certs.d".into()]).collect()
}

/// Upper case counts first, as in Go's programs; `ALL_PROXY` is for what has no proxy of its own.
fn proxies(environment: &Environment) -> Proxies {
    let of = |name: &str| {
        let value = environment.value(name).filter(|value| !value.is_empty());
        value.or_else(|| environment.value(&name.to_lowercase()).filter(|value| !value.is_empty()))
    };
    Proxies {
        http: of("HTTP_PROXY").or_else(|| of("ALL_PROXY")),
        https: of("HTTPS_PROXY").or_else(|| of("ALL_PROXY")),
        except: of("NO_PROXY").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_logins_are() {
        for (variables, want) in [
            (&[("HOME", "/h")][..], &["/h/.docker/config.json", "/h/.config/containers/auth.json"][..]),
            (
                &[("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("XDG_RUNTIME_DIR", "/run/user/5")],
                &["/d/config.json", "/run/user/5/containers/auth.json", "/h/.config/containers/auth.json"],
            ),
            (
                &[("XDG_CONFIG_HOME", "/c"), ("REGISTRY_AUTH_FILE", "/a.json")],
                &["/a.json", "/c/containers/auth.json"],
            ),
            (&[], &[]),
        ] {
            let want: Vec<PathBuf> = want.iter().map(PathBuf::from).collect();
            assert_eq!(credential_files(&Environment::of(variables)), want, "{variables:?}");
        }
    }

    #[test]
    fn where_certificates_are() {
        let machine = ["/etc/docker/certs.d", "/etc/containers/certs.d"].map(PathBuf::from);
        let found = certificate_folders(&Environment::of(&[("HOME", "/h")]));
        assert_eq!(found, [&["/h/.config/docker/certs.d".into()][..], &machine].concat());
        assert_eq!(certificate_folders(&Environment::of(&[])), machine);
    }

    #[test]
    fn proxies_by_the_usual_variables() {
        for (variables, want) in [
            (&[("HTTP_PROXY", "a"), ("http_proxy", "b")][..], (Some("a"), None, "")),
            (&[("https_proxy", "b"), ("no_proxy", "x")], (None, Some("b"), "x")),
            (&[("ALL_PROXY", "c"), ("HTTPS_PROXY", "d")], (Some("c"), Some("d"), "")),
            (&[("HTTP_PROXY", "")], (None, None, "")),
        ] {
            let found = proxies(&Environment::of(variables));
            let found = (found.http.as_deref(), found.https.as_deref(), found.except.as_str());
            assert_eq!(found, want, "{variables:?}");
        }
    }
}
