//! What a registry client has to be told: everything that comes from flags, files and the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::credentials::DockerConfig;

/// How to talk to registries.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who we are at which registry.
    pub credentials: DockerConfig,
    /// Folders with one folder a registry (`HOST[:PORT]`) that has `*.crt` (authorities), `*.cert` and `*.key` (us):
    /// docker's `/etc/docker/certs.d`. The first folder that knows a registry counts.
    pub certificates: Vec<PathBuf>,
    /// More authorities for all registries: PEM files.
    pub authorities: Vec<PathBuf>,
    /// Mirrors by domain, asked in this order before the registry itself: `https://host[:port]`, or `http://`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries (`host[:port]`) whose certificate is not checked, and that may use plain http. Loopback always may.
    pub insecure: BTreeSet<String>,
    /// Proxies for connections.
    pub proxies: Proxies,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How much to accept.
    pub limits: Limits,
    /// How many blobs are transferred at once.
    pub parallel: usize,
    /// How often something that may pass is tried, the first time included.
    pub attempts: u32,
    /// Uploads are cut into requests of so many bytes; `None` sends a blob in one. For proxies that limit bodies.
    pub chunk: Option<u64>,
    /// Where Docker Hub is searched: `https://host`. Its search is no part of the distribution API.
    pub hub_search: String,
    /// What `User-Agent` says.
    pub user_agent: String,
    /// Raised when nothing shall be asked or waited for any more (see [`super::Registry::shut_down`]).
    pub ended: Arc<AtomicBool>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            credentials: DockerConfig::default(),
            certificates: Vec::new(),
            authorities: Vec::new(),
            mirrors: BTreeMap::new(),
            insecure: BTreeSet::new(),
            proxies: Proxies::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            parallel: 6,
            attempts: 5,
            chunk: None,
            hub_search: "https://index.docker.io".to_owned(),
            user_agent: concat!("rbuild/", env!("CARGO_PKG_VERSION")).to_owned(),
            ended: Arc::default(),
        }
    }
}

/// Proxies, with the meaning of the usual variables.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// `HTTP_PROXY`.
    pub http: Option<String>,
    /// `HTTPS_PROXY`.
    pub https: Option<String>,
    /// `NO_PROXY`: hosts, `.suffixes`, addresses and `*`, separated by commas. Loopback never uses a proxy.
    pub except: String,
}

impl Proxies {
    /// The proxy on the way to a host (`host[:port]`); None for none.
    #[must_use]
    pub fn of(&self, https: bool, authority: &str) -> Option<&str> {
        let host = super::http::host_of(authority);
        let wanted = if https { &self.https } else { &self.http };
        let direct = super::http::is_loopback(host) || super::http::is_excepted(&self.except, host);
        wanted.as_deref().filter(|proxy| !proxy.is_empty() && !direct)
    }
}

/// How long to wait for a registry.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until an answer begins after the request was sent, and between two pieces of one.
    pub silence: Duration,
    /// Before the second attempt; doubled for each that follows.
    pub first_pause: Duration,
    /// No pause is longer, whatever the registry asks for.
    pub longest_pause: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            silence: Duration::from_secs(60),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// How much is accepted from a registry. In bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of a manifest, an index, or any answer with a list: what docker and the specification allow.
    pub document: u64,
    /// Of an image config.
    pub config: u64,
    /// What a layer may always inflate to.
    pub inflated: u64,
    /// What a layer may inflate to for each byte that it has, where that is more. Deflate cannot do better than 1032;
    /// real layers seldom reach 20.
    pub inflation: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { document: 4 << 20, config: 8 << 20, inflated: 4 << 30, inflation: 200 }
    }
}
