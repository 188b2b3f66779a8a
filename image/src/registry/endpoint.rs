//! From the domain of an image name to the hosts that are asked.

use super::settings::Settings;

const HUB: &str = "docker.io";
const HUB_HOST: &str = "registry-1.docker.io";
/// What docker's own files call Docker Hub.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// A host that serves the distribution API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `https://host[:port]` or `http://…`.
    pub(super) base: String,
    /// Under which name credentials for it are kept.
    pub(super) key: String,
    /// It serves what others push.
    pub(super) is_mirror: bool,
}

impl Endpoint {
    /// `host[:port]`.
    pub(super) fn host(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, host)| host)
    }
}

/// The host behind a domain.
pub(super) fn host(domain: &str) -> &str {
    if domain == HUB { HUB_HOST } else { domain }
}

/// Under which name docker keeps the credentials for a domain.
pub(super) fn credential_key(domain: &str) -> &str {
    if domain == HUB || domain == HUB_HOST || domain == "index.docker.io" { HUB_KEY } else { domain }
}

/// The mirrors of a domain.
pub(super) fn mirrors(settings: &Settings, domain: &str) -> Vec<Endpoint> {
    let urls = settings.mirrors.get(domain).into_iter().flatten();
    urls.map(|url| {
        let base = url.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("https://{base}") };
        let key = base.split_once("://").map_or("", |(_, host)| host).to_owned();
        Endpoint { base, key, is_mirror: true }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_has_many_names() {
        assert_eq!(host("docker.io"), "registry-1.docker.io");
        assert_eq!(credential_key("docker.io"), HUB_KEY);
        assert_eq!(host("r.example:5000"), "r.example:5000");
        assert_eq!(credential_key("r.example:5000"), "r.example:5000");
    }

    #[test]
    fn mirrors_have_their_own_credentials() {
        let mut settings = Settings::default();
        settings.mirrors.insert("docker.io".into(), vec!["https://m.example/".into(), "n.example:1".into()]);
        let found = mirrors(&settings, "docker.io");
        assert_eq!(found[0].base, "https://m.example");
        assert_eq!((found[1].base.as_str(), found[1].key.as_str()), ("https://n.example:1", "n.example:1"));
        assert_eq!(found[1].host(), "n.example:1");
        assert!(mirrors(&settings, "other.example").is_empty());
    }
}
