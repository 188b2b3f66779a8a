//! Who asks: basic authentication and bearer tokens (distribution specification, token authentication).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use ureq::http::{HeaderMap, Uri, header};

use super::credentials::{Credential, Secret};
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::http::{Http, Payload, Request, read_all, shown, status_error};
use super::uri::{escape, with_parameter};

/// Longest answer of a token server.
const MAX_ANSWER: u64 = 1 << 20;
/// How long a token counts that does not say: what the specification asks clients to assume.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// What a request needs to be allowed: `repository:PATH:pull`, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Scope(BTreeSet<String>);

impl Scope {
    pub(super) fn pull(path: &str) -> Self {
        Self([format!("repository:{path}:pull")].into())
    }

    pub(super) fn push(path: &str) -> Self {
        Self([format!("repository:{path}:pull,push")].into())
    }

    pub(super) fn delete(path: &str) -> Self {
        Self([format!("repository:{path}:pull,push,delete")].into())
    }

    pub(super) fn catalog() -> Self {
        Self(["registry:catalog:*".to_owned()].into())
    }

    /// What both allow.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// A demand of a registry: `Bearer realm="…",service="…"`.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: HashMap<String, String>,
}

/// The answers to demands that were made, by host and scope.
#[derive(Debug, Default)]
pub(super) struct Auth {
    held: Mutex<HashMap<(String, Scope), Held>>,
}

#[derive(Debug)]
struct Held {
    header: Secret,
    until: Option<Instant>,
}

/// What a token server gave.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: u64,
    #[serde(default)]
    refresh_token: String,
}

/// What lets a request pass, and the identity token that came with it.
pub(super) struct Granted {
    pub(super) header: Secret,
    pub(super) identity: Option<Secret>,
}

impl Auth {
    /// The `Authorization` that this host took for this scope, while it is good.
    pub(super) fn held(&self, endpoint: &Endpoint, scope: &Scope) -> Option<Secret> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.get(&(endpoint.base.clone(), scope.clone()))?;
        found.until.is_none_or(|until| Instant::now() < until).then(|| found.header.clone())
    }

    /// Answers the demand in `headers` of a 401.
    pub(super) fn answer(
        &self,
        http: &Http,
        endpoint: &Endpoint,
        scope: &Scope,
        headers: &HeaderMap,
        credential: Option<&Credential>,
    ) -> Result<Granted, RegistryError> {
        let refuse = |reason: String| RegistryError::Challenge { host: endpoint.host().to_owned(), reason };
        let texts = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = texts.flat_map(parse).collect();
        let find = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let (granted, until) = if let Some(Credential::Registry(token)) = credential {
            (Granted { header: bearer(token.reveal()).map_err(refuse)?, identity: None }, None)
        } else if let Some(challenge) = find("bearer") {
            let answer = fetch(http, endpoint, scope, challenge, credential)?;
            let life =
                if answer.expires_in == 0 { DEFAULT_LIFE } else { Duration::from_secs(answer.expires_in) };
            let token = if answer.token.is_empty() { &answer.access_token } else { &answer.token };
            let identity =
                (!answer.refresh_token.is_empty()).then(|| Secret::new(answer.refresh_token.clone()));
            // Renewed a little early, so that it does not end on its way.
            (
                Granted { header: bearer(token).map_err(refuse)?, identity },
                Some(Instant::now() + life * 9 / 10),
            )
        } else if find("basic").is_some() {
            let Some(Credential::Password { username, password }) = credential else {
                return Err(denied(endpoint, scope, String::new()));
            };
            (Granted { header: basic(username, password), identity: None }, None)
        } else {
            return Err(refuse("it demands a login in a way that is not supported".to_owned()));
        };
        let held = Held { header: granted.header.clone(), until };
        let key = (endpoint.base.clone(), scope.clone());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(key, held);
        Ok(granted)
    }

    /// Forgets what was held: it is not taken any more.
    pub(super) fn forget(&self, endpoint: &Endpoint, scope: &Scope) {
        let key = (endpoint.base.clone(), scope.clone());
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

/// The answer to a request that is not allowed.
pub(super) fn denied(endpoint: &Endpoint, scope: &Scope, message: String) -> RegistryError {
    let name = scope.0.iter().find_map(|scope| scope.strip_prefix("repository:")?.rsplit_once(':'));
    let what =
        name.map_or_else(|| endpoint.host().to_owned(), |(path, _)| format!("{}/{path}", endpoint.host()));
    RegistryError::Denied { what, hint: "repository does not exist or may require 'rbuild login'", message }
}

fn bearer(token: &str) -> Result<Secret, String> {
    let good = !token.is_empty() && token.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if good {
        Ok(Secret::new(format!("Bearer {token}")))
    } else {
        Err("its token server gave no usable token".to_owned())
    }
}

fn basic(username: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", BASE64.encode(format!("{username}:{}", password.reveal()))))
}

fn fetch(
    http: &Http,
    endpoint: &Endpoint,
    scope: &Scope,
    challenge: &Challenge,
    credential: Option<&Credential>,
) -> Result<Answer, RegistryError> {
    let refuse = |reason: &str| RegistryError::Challenge {
        host: endpoint.host().to_owned(),
        reason: reason.to_owned(),
    };
    let realm = challenge.parameters.get("realm").ok_or_else(|| refuse("it names no token server"))?;
    let uri: Uri = realm.parse().map_err(|_| refuse("its token server is no address"))?;
    // Who asks for a token shows credentials: never in the clear to somebody whom nobody has allowed that.
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if http.may_be_plain(&uri) => {}
        _ => return Err(refuse("its token server is not encrypted")),
    }
    let mut scopes = scope.0.clone();
    if let Some(text) = challenge.parameters.get("scope") {
        scopes.extend(text.split_ascii_whitespace().map(str::to_owned));
    }
    let service = challenge.parameters.get("service").map_or("", String::as_str);
    let (request_uri, authorization, form, method) = match credential {
        Some(Credential::Identity { token, .. }) => {
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            let form = format!(
                "grant_type=refresh_token&service={}&client_id=rbuild&scope={}&refresh_token={}",
                escape(service),
                escape(&scopes.join(" ")),
                escape(token.reveal())
            );
            (realm.clone(), None, Some(form), "POST")
        }
        _ => {
            let mut url = realm.clone();
            if !service.is_empty() {
                url = with_parameter(&url, "service", service);
            }
            for scope in &scopes {
                url = with_parameter(&url, "scope", scope);
            }
            let mut authorization = None;
            if let Some(Credential::Password { username, password }) = credential {
                url = with_parameter(&url, "account", username);
                // Only asked for when somebody logs in, that is without a scope: it lives long.
                if scopes.is_empty() {
                    url =
                        with_parameter(&with_parameter(&url, "client_id", "rbuild"), "offline_token", "true");
                }
                authorization = Some(basic(username, password));
            }
            (url, authorization, None, "GET")
        }
    };
    let uri: Uri = request_uri.parse().map_err(|_| refuse("its token server is no address"))?;
    let headers = [("content-type", "application/x-www-form-urlencoded".to_owned())];
    let response = http.send(Request {
        method,
        uri: uri.clone(),
        headers: if form.is_some() { &headers } else { &[] },
        authorization: authorization.as_ref().map(Secret::reveal),
        payload: form.as_ref().map_or(Payload::Empty, |form| Payload::Bytes(form.as_bytes())),
    })?;
    match response.status().as_u16() {
        200 => {}
        400 | 401 | 403 => {
            let RegistryError::Status { message, .. } = status_error(method, &uri, response) else {
                return Err(denied(endpoint, scope, String::new()));
            };
            return Err(denied(endpoint, scope, message));
        }
        _ => return Err(status_error(method, &uri, response)),
    }
    let bytes = read_all(method, &uri, response, MAX_ANSWER)?;
    serde_json::from_slice(&bytes).map_err(|error| RegistryError::document(&shown(&uri), error))
}

/// The demands of one header, which may hold several.
fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        if let Some(value) = after.strip_prefix('=') {
            let (value, after) = value_of(value);
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.insert(word.to_ascii_lowercase(), value);
            }
            rest = after;
        } else {
            found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: HashMap::new() });
            rest = after;
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    found
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, character)| character)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_are_read() {
        let found = parse(
            r#"Bearer realm="https://auth.example/token",service="r.example", scope="repository:a:pull,push" , Basic realm="x \"y\"""#,
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].scheme, "bearer");
        assert_eq!(found[0].parameters["realm"], "https://auth.example/token");
        assert_eq!(found[0].parameters["scope"], "repository:a:pull,push");
        assert_eq!(found[1].scheme, "basic");
        assert_eq!(found[1].parameters["realm"], "x \"y\"");
        assert_eq!(parse("Basic realm=plain")[0].parameters["realm"], "plain");
        assert_eq!(parse("Negotiate")[0].scheme, "negotiate");
        assert!(parse("").is_empty());
    }

    #[test]
    fn tokens_that_would_break_out_of_a_header_are_refused() {
        assert!(bearer("a\r\nHost: evil").is_err());
        assert!(bearer("").is_err());
        assert_eq!(bearer("abc").unwrap().reveal(), "Bearer abc");
        assert_eq!(
            basic("Aladdin", &Secret::new("open sesame")).reveal(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_hang_or_panic(text in any::<String>()) {
            parse(&text);
        }
    }
}
