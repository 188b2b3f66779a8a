//! One HTTP request and its answer: which connection, which proxy, which redirects.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body, Proxy, SendBody};

use super::error::RegistryError;
use super::settings::{Proxies, Settings};
use super::{impatient, tls, uri};

const MAX_REDIRECTS: usize = 10;
/// Longest explanation of an error that is read.
const MAX_EXPLANATION: u64 = 64 << 10;
const MAX_SHOWN: usize = 400;

/// What goes up with a request.
pub(crate) enum Payload<'a> {
    /// Nothing.
    Empty,
    /// All of it, to be sent again after a redirect or a 401.
    Bytes(&'a [u8]),
    /// So many bytes, which can be sent only once.
    Stream(&'a mut dyn Read, u64),
}

/// A request.
pub(crate) struct Request<'a, 'p> {
    pub(crate) method: &'static str,
    pub(crate) uri: Uri,
    pub(crate) headers: &'a [(&'static str, String)],
    /// Left out as soon as a redirect leads to another origin.
    pub(crate) authorization: Option<&'a str>,
    pub(crate) payload: Payload<'p>,
}

/// Connections to all hosts, kept open between requests.
#[derive(Debug)]
pub(crate) struct Http {
    settings: Arc<Settings>,
    agents: Mutex<HashMap<(String, String, u16), Agent>>,
    /// Some host has answered once: the network is there.
    answered: AtomicBool,
}

impl Http {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, agents: Mutex::default(), answered: AtomicBool::new(false) }
    }

    /// Whether this host (`host[:port]`) may be talked to without encryption, or without checking who it is.
    /// Loopback may, unless somebody took the trouble to give it certificates.
    pub(super) fn may_be_insecure(&self, authority: &str) -> bool {
        let host = host_of(authority);
        self.settings.insecure.contains(authority)
            || self.settings.insecure.contains(host)
            || (is_loopback(host) && tls::folder(&self.settings, authority).is_none())
    }

    /// Closes all connections, also those in use.
    pub(super) fn shut_down(&self) {
        for (_, agent) in self.agents.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            agent.shutdown();
        }
    }

    /// Sends a request and follows redirects of requests without a payload. Any status is an answer.
    pub(crate) fn send(&self, request: Request<'_, '_>) -> Result<Response<Body>, RegistryError> {
        let Request { method, uri, headers, mut authorization, mut payload } = request;
        let start = uri.clone();
        let mut uri = uri;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(method, &uri, headers, authorization, &mut payload)?;
            let follows = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
                && matches!(method, "GET" | "HEAD");
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let (true, Some(location)) = (follows, location) else { return Ok(response) };
            let next = self.check_redirect(&uri, location)?;
            if uri::origin(&next) != uri::origin(&uri) {
                authorization = None;
            }
            uri = next;
        }
        Err(RegistryError::RedirectLoop { url: shown(&start) })
    }

    fn check_redirect(&self, from: &Uri, location: &str) -> Result<Uri, RegistryError> {
        let bad = |reason| RegistryError::BadRedirect { from: shown(from), to: printable(location), reason };
        let to = uri::join(from, location).ok_or_else(|| bad("which is no address of http or https"))?;
        if to.scheme_str() == Some("http") && !self.may_be_plain(&to) {
            return Err(bad("which is not encrypted"));
        }
        if to.scheme_str() == Some("http") && from.scheme_str() == Some("https") && !self.may_be_plain(from) {
            return Err(bad("which is not encrypted"));
        }
        Ok(to)
    }

    /// Whether a request to this URL may go out as it is, were it plain http.
    pub(super) fn may_be_plain(&self, uri: &Uri) -> bool {
        uri.authority().is_some_and(|authority| self.may_be_insecure(authority.as_str()))
    }

    fn send_once(
        &self,
        method: &'static str,
        uri: &Uri,
        headers: &[(&'static str, String)],
        authorization: Option<&str>,
        payload: &mut Payload<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut request = ureq::http::Request::builder().method(method).uri(uri.clone());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let fail = |error| connection_error(method, uri, error);
        let build = |error: ureq::http::Error| fail(ureq::Error::Http(error));
        let agent = self.agent(uri)?;
        let answer = match payload {
            Payload::Empty if matches!(method, "POST" | "PUT" | "PATCH") => {
                let request = request.header(header::CONTENT_LENGTH, 0);
                agent.run(request.body(SendBody::from_owned_reader(io::empty())).map_err(build)?)
            }
            Payload::Empty => agent.run(request.body(()).map_err(build)?),
            Payload::Bytes(bytes) => {
                let request = request.header(header::CONTENT_LENGTH, bytes.len());
                agent.run(request.body(*bytes).map_err(build)?)
            }
            Payload::Stream(reader, length) => {
                let request = request.header(header::CONTENT_LENGTH, *length);
                agent.run(request.body(SendBody::from_reader(*reader)).map_err(build)?)
            }
        };
        if answer.is_ok() {
            self.answered.store(true, Ordering::Relaxed);
        }
        answer.map_err(|error| match error {
            // Without any network names fail at once, and shall not be asked for again and again.
            ureq::Error::Io(cause) if is_lookup(&cause) && !self.answered.load(Ordering::Relaxed) => {
                connection_error(method, uri, ureq::Error::HostNotFound)
            }
            error => fail(error),
        })
    }

    fn agent(&self, uri: &Uri) -> Result<Agent, RegistryError> {
        if self.settings.ended.load(Ordering::Relaxed) {
            return Err(RegistryError::Cancelled);
        }
        let origin = uri::origin(uri);
        if let Some(agent) = self.agents.lock().unwrap_or_else(PoisonError::into_inner).get(&origin) {
            return Ok(agent.clone());
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let encrypted = uri.scheme_str() == Some("https");
        let Settings { timeouts, proxies, user_agent, parallel, .. } = &*self.settings;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(user_agent.as_str())
            .proxy(proxy(proxies, uri)?)
            .max_idle_connections_per_host(*parallel + 1)
            .timeout_connect(Some(timeouts.connect))
            .timeout_per_read(Some(timeouts.silence))
            .timeout_per_write(Some(timeouts.silence))
            // After an upload, a registry may have to copy the blob before it answers.
            .timeout_recv_response(Some(timeouts.silence * 5));
        if encrypted {
            config =
                config.tls_config(tls::config(&self.settings, authority, self.may_be_insecure(authority))?);
        }
        let agent = impatient::agent(config.build(), &self.settings.ended);
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).insert(origin, agent.clone());
        if self.settings.ended.load(Ordering::Relaxed) {
            // The end came while it was made, and may have missed it.
            self.shut_down();
        }
        Ok(agent)
    }
}

/// Reads an answer that may not be longer than `limit`.
pub(crate) fn read_all(
    method: &'static str,
    uri: &Uri,
    response: Response<Body>,
    limit: u64,
) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    let reader = response.into_body().into_reader();
    reader
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| connection_error(method, uri, ureq::Error::Io(error)))?;
    if bytes.len() as u64 > limit {
        return Err(RegistryError::TooLarge { what: shown(uri), limit });
    }
    Ok(bytes)
}

/// An answer that is not what was hoped for, with what the registry says about it.
pub(crate) fn status_error(method: &'static str, uri: &Uri, response: Response<Body>) -> RegistryError {
    let status = response.status().as_u16();
    let seconds = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut text = Vec::new();
    // An explanation that breaks off explains what it can.
    let _ = response.into_body().into_reader().take(MAX_EXPLANATION).read_to_end(&mut text);
    RegistryError::Status {
        method,
        url: shown(uri),
        status,
        message: explanation(&text),
        retry_after: seconds.map(Duration::from_secs),
    }
}

/// The messages of `{"errors": [{"code": …, "message": …}]}`, or that of S3's `<Error>`; nothing of an answer of
/// another form, which is usually a page of HTML.
fn explanation(text: &[u8]) -> String {
    let xml = String::from_utf8_lossy(text);
    if let Some((_, error)) = xml.split_once("<Error>") {
        let element = |name: &str| {
            let (_, rest) = error.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        let said: Vec<String> = ["Code", "Message"].into_iter().filter_map(element).collect();
        return printable(&said.join(": "));
    }
    let json: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<String> = Vec::new();
    for error in json["errors"].as_array().into_iter().flatten() {
        let (code, message) = (text(&error["code"]), text(&error["message"]));
        found.push(match (code.is_empty(), message.is_empty()) {
            (false, false) => format!("{}: {message}", code.to_lowercase().replace('_', " ")),
            _ => code + &message,
        });
    }
    for member in ["details", "message", "error"] {
        if found.is_empty() && json[member].is_string() {
            found.push(text(&json[member]));
        }
    }
    printable(&found.join(", "))
}

/// What comes from outside and is shown on a terminal: short, and without control characters.
pub(super) fn printable(text: &str) -> String {
    let mut out: String = text.chars().filter(|character| !character.is_control()).take(MAX_SHOWN).collect();
    if text.chars().count() > MAX_SHOWN {
        out.push('…');
    }
    out
}

/// A URL as errors show it: without its query, which can carry signatures.
pub(super) fn shown(uri: &Uri) -> String {
    let (scheme, host, _) = uri::origin(uri);
    let authority = uri.authority().map_or(host, ToString::to_string);
    format!("{scheme}://{authority}{}", uri.path())
}

/// Whether no address was found for a name; the standard library has only its own words for it.
fn is_lookup(error: &io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

pub(super) fn connection_error(method: &'static str, uri: &Uri, error: ureq::Error) -> RegistryError {
    use ureq::Error as E;
    let transient = match &error {
        E::Timeout(_) | E::ConnectionFailed | E::Protocol(_) => true,
        // Errors of TLS come wrapped as invalid data, and no second attempt makes a certificate better.
        E::Io(error) => !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput),
        _ => false,
    };
    let source = match error {
        E::Io(error) => error,
        E::Timeout(what) => io::Error::new(io::ErrorKind::TimedOut, format!("no answer in time ({what})")),
        other => io::Error::other(other.to_string()),
    };
    RegistryError::Connection { method, url: shown(uri), source, transient }
}

fn proxy(proxies: &Proxies, uri: &Uri) -> Result<Option<Proxy>, RegistryError> {
    let host = host_of(uri.authority().map_or("", |authority| authority.as_str()));
    let wanted = if uri.scheme_str() == Some("https") { &proxies.https } else { &proxies.http };
    let Some(proxy) = wanted.as_ref().filter(|proxy| !proxy.is_empty()) else { return Ok(None) };
    if is_loopback(host) || is_excepted(&proxies.except, host) {
        return Ok(None);
    }
    Proxy::new(proxy).map(Some).map_err(|_| RegistryError::Challenge {
        host: host.to_owned(),
        reason: "the proxy that is set for it is no address".to_owned(),
    })
}

pub(super) fn is_excepted(list: &str, host: &str) -> bool {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.strip_prefix('*').unwrap_or(entry);
        let bare = entry.trim_start_matches('.');
        entry.is_empty() || host == bare || host.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.'))
    })
}

/// The host of `host[:port]`, without the brackets of an IPv6 address.
pub(super) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_from_proxies_are_hosts_and_suffixes() {
        for (list, host, expected) in [
            ("", "a.example", false),
            ("a.example", "a.example", true),
            ("example", "a.example", true),
            (".example", "a.example", true),
            ("*.example", "a.example", true),
            ("ample", "a.example", false),
            ("*", "a.example", true),
            ("x, a.example ,y", "a.example", true),
        ] {
            assert_eq!(is_excepted(list, host), expected, "{list:?} {host}");
        }
    }

    #[test]
    fn loopback_is_recognised() {
        for (authority, expected) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.8.8.8:1", true),
            ("[::1]:5000", true),
            ("localhost.example", false),
            ("127.0.0.1.example", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(host_of(authority)), expected, "{authority}");
        }
    }

    #[test]
    fn explanations_are_the_messages_of_the_registry() {
        for (text, expected) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                "manifest unknown: manifest unknown",
            ),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            ("<html>nginx</html>", ""),
            ("{\"errors\":[{\"message\":\"a\\u001b[31mred\"}]}", "a[31mred"),
        ] {
            assert_eq!(explanation(text.as_bytes()), expected);
        }
    }
}
