//! Who asks a bucket: a key that was given, or one that a service of the machine hands out and renews.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusty_s3::Credentials;
use serde::Deserialize;
use ureq::http::Uri;

use crate::place::PlaceError;
use crate::registry::{
    Http, Payload, Proxies, RegistryError, Request, Retry, Settings, Silent, read_all, status_error,
};
use crate::time::Timestamp;

/// More than any answer of such a service.
const MAX_ANSWER: u64 = 64 << 10;
/// A key is renewed so long before it expires, in seconds: an upload may take a while.
const RENEW_BEFORE: i64 = 300;
/// How long a token for the instance's service is good for, in seconds: we need it once.
const TOKEN_SECONDS: &str = "60";

/// Who asks.
#[derive(Clone, Debug)]
pub enum Access {
    /// Nobody: for a bucket that is open to everybody.
    Anybody,
    /// Whoever has this key.
    Key(Key),
    /// The role of a container (ECS, EKS): the URL that hands out keys, and what to say there.
    Container {
        /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
        url: String,
        /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
        token: Option<String>,
    },
    /// The role of a machine (EC2, version 2 of its metadata service), if it has one; else nobody.
    Instance {
        /// The service, `http://169.254.169.254`.
        url: String,
    },
}

/// Credentials.
#[derive(Clone)]
pub struct Key {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// `AWS_SESSION_TOKEN`.
    pub token: Option<String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    fn credentials(self) -> Credentials {
        match self.token {
            Some(token) => Credentials::new_with_token(self.id, self.secret, token),
            None => Credentials::new(self.id, self.secret),
        }
    }
}

/// What a service hands out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lent {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<Timestamp>,
}

/// An [`Access`], with what was handed out last.
#[derive(Debug)]
pub(super) struct Who {
    access: Access,
    settings: Arc<Settings>,
    lent: Mutex<Option<(Option<Credentials>, Option<Timestamp>)>>,
}

impl Who {
    pub(super) fn new(access: Access, settings: &Settings) -> Self {
        Self { access, settings: Arc::new(service(settings)), lent: Mutex::default() }
    }

    /// The key to sign with now; None for nobody.
    pub(super) fn credentials(&self) -> Result<Option<Credentials>, PlaceError> {
        if let Access::Key(key) = &self.access {
            return Ok(Some(key.clone().credentials()));
        }
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now().secs;
        if let Some((credentials, expires)) = &*lent
            && expires.is_none_or(|expires| expires.secs - now > RENEW_BEFORE)
        {
            return Ok(credentials.clone());
        }
        let fresh = match &self.access {
            Access::Key(_) | Access::Anybody => None,
            Access::Container { url, token } => Some(self.of_container(url, token.as_deref())?),
            // Most machines are none of Amazon's.
            Access::Instance { url } => self.of_instance(url).ok(),
        };
        let expires = fresh.as_ref().and_then(|lent| lent.expiration);
        let key = fresh.map(|Lent { access_key_id: id, secret_access_key: secret, token, .. }| {
            Key { id, secret, token }.credentials()
        });
        *lent = Some((key.clone(), expires));
        Ok(key)
    }

    fn of_container(&self, url: &str, token: Option<&str>) -> Result<Lent, PlaceError> {
        let headers: Vec<_> = token.map(|token| ("authorization", token.to_owned())).into_iter().collect();
        let answer = self.ask("GET", url, &headers)?;
        serde_json::from_slice(&answer).map_err(|error| PlaceError::document(url, error))
    }

    fn of_instance(&self, url: &str) -> Result<Lent, PlaceError> {
        let url = url.trim_end_matches('/');
        let seconds = [("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS.to_owned())];
        let token = self.ask("PUT", &format!("{url}/latest/api/token"), &seconds)?;
        let token = [("x-aws-ec2-metadata-token", String::from_utf8_lossy(&token).trim().to_owned())];
        let roles = format!("{url}/latest/meta-data/iam/security-credentials/");
        let role = self.ask("GET", &roles, &token)?;
        let role = String::from_utf8_lossy(&role);
        let role = role.lines().next().unwrap_or_default();
        let answer = self.ask("GET", &format!("{roles}{role}"), &token)?;
        serde_json::from_slice(&answer).map_err(|error| PlaceError::document(roles, error))
    }

    fn ask(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Vec<u8>, PlaceError> {
        let uri: Uri = url.parse().map_err(|error| PlaceError::document(url, error))?;
        let mut settings = (*self.settings).clone();
        settings.insecure.extend(uri.host().map(str::to_owned));
        let http = Http::new(Arc::new(settings));
        let retry = Retry::new(&self.settings, &Silent);
        Ok(retry.run(|| {
            let payload = Payload::Empty;
            let request = Request { method, uri: uri.clone(), headers, authorization: None, payload };
            let response = http.send(request)?;
            match response.status().as_u16() {
                200 => read_all(method, &uri, response, MAX_ANSWER),
                _ => Err::<Vec<u8>, RegistryError>(status_error(method, &uri, response)),
            }
        })?)
    }
}

/// These services are on this machine or next to it: no proxy knows them, and they answer at once or not at all.
fn service(settings: &Settings) -> Settings {
    let mut settings = Settings { proxies: Proxies::default(), attempts: 2, ..settings.clone() };
    settings.timeouts.connect = Duration::from_secs(1);
    settings.timeouts.silence = Duration::from_secs(5);
    settings
}
