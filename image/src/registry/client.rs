//! The calls of the distribution API, one function each.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Body, BodyReader};

use super::auth::{Auth, Granted, Scope, denied};
use super::credentials::{Credential, Secret};
use super::documents::{Document, MANIFEST_TYPES};
use super::endpoint::{self, Endpoint};
use super::error::RegistryError;
use super::http::{Http, Payload, Request, read_all, shown, status_error};
use super::retry::Retry;
use super::settings::Settings;
use super::uri;
use crate::digest::{BlobDigest, Digest};

/// A client of registries. Clones share connections and tokens; it may be used from any number of threads.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Arc<Settings>,
    http: Http,
    auth: Auth,
    /// Registries that may be insecure, and what they turned out to speak.
    probed: Mutex<Vec<Endpoint>>,
}

impl Registry {
    /// A client. Opens no connection and reads no file.
    pub fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let http = Http::new(Arc::clone(&settings));
        Self { shared: Arc::new(Shared { settings, http, auth: Auth::default(), probed: Mutex::default() }) }
    }

    /// Ends everything that goes on, from any thread: whatever waits for an answer fails at once, and nothing is asked
    /// any more.
    pub fn shut_down(&self) {
        self.shared.settings.ended.store(true, Ordering::Relaxed);
        self.shared.http.shut_down();
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Asks whether a registry takes this login. When its token server gives an identity token, that is what is to
    /// be kept in place of the password.
    ///
    /// # Errors
    /// When it does not, or does not answer.
    pub fn login(&self, domain: &str, credential: &Credential) -> Result<Credential, RegistryError> {
        let endpoint = self.endpoint(domain)?;
        let uri = parse_uri(&format!("{}/v2/", endpoint.base))?;
        let scope = Scope::default();
        let ping = |authorization: Option<&str>| {
            self.shared.http.send(Request {
                method: "GET",
                uri: uri.clone(),
                headers: &[],
                authorization,
                payload: Payload::Empty,
            })
        };
        let response = ping(None)?;
        if response.status() == 200 {
            // It takes everybody.
            return Ok(credential.clone());
        }
        if response.status() != 401 {
            return Err(status_error("GET", &uri, response));
        }
        let granted = self.shared.auth.answer(
            &self.shared.http,
            &endpoint,
            &scope,
            response.headers(),
            Some(credential),
        )?;
        let response = ping(Some(granted.header.reveal()))?;
        match response.status().as_u16() {
            200 => Ok(kept(credential, granted)),
            401 | 403 => {
                self.shared.auth.forget(&endpoint, &scope);
                Err(denied(&endpoint, &scope, "unauthorized: incorrect username or password".to_owned()))
            }
            _ => Err(status_error("GET", &uri, response)),
        }
    }

    /// The host behind a domain. Whether one that may be insecure speaks TLS is found out once.
    pub(super) fn endpoint(&self, domain: &str) -> Result<Endpoint, RegistryError> {
        let host = endpoint::host(domain);
        let key = endpoint::credential_key(domain).to_owned();
        let with = |scheme: &str| Endpoint {
            base: format!("{scheme}://{host}"),
            key: if key == endpoint::HUB_KEY { "docker.io".to_owned() } else { key.clone() },
            is_mirror: false,
        };
        if !self.shared.http.may_be_insecure(host) {
            return Ok(with("https"));
        }
        let probed = || self.shared.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = probed().iter().find(|endpoint| endpoint.host() == host) {
            return Ok(found.clone());
        }
        let encrypted = with("https");
        let uri = parse_uri(&format!("{}/v2/", encrypted.base))?;
        let headers = [];
        let request =
            Request { method: "GET", uri, headers: &headers, authorization: None, payload: Payload::Empty };
        let found = if self.shared.http.send(request).is_ok() { encrypted } else { with("http") };
        // Others may have found out the same meanwhile.
        probed().push(found.clone());
        Ok(found)
    }

    /// A repository at one host.
    pub(super) fn repository<'a>(
        &'a self,
        endpoint: Endpoint,
        path: &str,
        scope: Scope,
        retry: &'a Retry<'a>,
    ) -> Repository<'a> {
        Repository { registry: self, endpoint, path: path.to_owned(), scope, retry }
    }

    /// Sends a request, and once more with what a 401 demands.
    pub(super) fn call(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        method: &'static str,
        uri: &Uri,
        headers: &[(&'static str, String)],
        payload: Payload<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let Shared { http, auth, settings, .. } = &*self.shared;
        // An upload may be continued elsewhere: then it is not the registry any more that asks who we are.
        let base = parse_uri(&endpoint.base)?;
        let is_home = uri::origin(&base) == uri::origin(uri);
        if !is_home && uri.scheme_str() == Some("http") && !http.may_be_plain(uri) {
            let reason = "which is not encrypted";
            return Err(RegistryError::BadRedirect { from: endpoint.base.clone(), to: shown(uri), reason });
        }
        let held = if is_home { auth.held(endpoint, scope) } else { None };
        let authorization = held.as_ref().map(Secret::reveal);
        let again = match &payload {
            Payload::Stream(..) => None,
            Payload::Bytes(bytes) => Some(*bytes),
            Payload::Empty => Some(&[][..]),
        };
        let response = http.send(Request { method, uri: uri.clone(), headers, authorization, payload })?;
        if response.status() != 401 || !is_home {
            return Ok(response);
        }
        auth.forget(endpoint, scope);
        let credential = settings.credentials.lookup(&endpoint.key)?;
        let granted = auth.answer(http, endpoint, scope, response.headers(), credential.as_ref())?;
        let Some(bytes) = again else {
            // The bytes are gone; whoever has them begins again, with what was granted now.
            let source = std::io::Error::other("the login ended during the upload");
            return Err(RegistryError::Connection { method, url: shown(uri), source, transient: true });
        };
        let authorization = Some(granted.header.reveal());
        let payload = if bytes.is_empty() { Payload::Empty } else { Payload::Bytes(bytes) };
        let response = http.send(Request { method, uri: uri.clone(), headers, authorization, payload })?;
        if response.status() == 401 {
            auth.forget(endpoint, scope);
            let RegistryError::Status { message, .. } = status_error(method, uri, response) else {
                return Err(denied(endpoint, scope, String::new()));
            };
            return Err(denied(endpoint, scope, message));
        }
        Ok(response)
    }
}

/// What is to be kept after a login.
fn kept(credential: &Credential, granted: Granted) -> Credential {
    match (credential, granted.identity) {
        (Credential::Password { username, .. }, Some(token)) => {
            Credential::Identity { username: username.clone(), token }
        }
        _ => credential.clone(),
    }
}

/// A repository at one host, for one transfer.
pub(super) struct Repository<'a> {
    registry: &'a Registry,
    pub(super) endpoint: Endpoint,
    pub(super) path: String,
    scope: Scope,
    pub(super) retry: &'a Retry<'a>,
}

/// How an upload begins.
pub(super) enum Upload {
    /// It does not: the blob was mounted.
    Mounted,
    /// The bytes go here.
    Session(Uri),
}

/// A blob on its way, from some byte on.
pub(super) struct BlobBody {
    pub(super) reader: BodyReader<'static>,
    /// The first byte that comes.
    pub(super) from: u64,
}

impl<'a> Repository<'a> {
    /// For messages.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.endpoint.host(), self.path)
    }

    pub(super) fn settings(&self) -> &'a Settings {
        self.registry.settings()
    }

    pub(super) fn call(
        &self,
        method: &'static str,
        uri: &Uri,
        headers: &[(&'static str, String)],
        payload: Payload<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        self.registry.call(&self.endpoint, &self.scope, method, uri, headers, payload)
    }

    fn uri(&self, rest: &str) -> Result<Uri, RegistryError> {
        parse_uri(&format!("{}/v2/{}/{rest}", self.endpoint.base, self.path))
    }

    /// `GET manifests/REFERENCE`.
    pub(super) fn manifest(
        &self,
        reference: &str,
        expected: Option<Digest>,
    ) -> Result<Document, RegistryError> {
        let uri = self.uri(&format!("manifests/{reference}"))?;
        let headers = [("accept", MANIFEST_TYPES.join(", "))];
        let limit = self.settings().limits.document;
        self.retry.run(|| {
            let response = self.call("GET", &uri, &headers, Payload::Empty)?;
            if response.status() == 404 {
                return Err(RegistryError::NotFound(format!("{}:{reference}", self.name())));
            }
            let response = self.expect(&[200], "GET", &uri, response)?;
            let content_type = text(response.headers(), header::CONTENT_TYPE);
            let promised = text(response.headers(), "docker-content-digest");
            let bytes = read_all("GET", &uri, response, limit)?;
            let promised = expected.or_else(|| promised.parse().ok());
            Document::new(
                &format!("manifest {} of {}", reference, self.name()),
                content_type,
                bytes,
                promised,
            )
        })
    }

    /// `GET blobs/DIGEST`, whole: for configs.
    pub(super) fn small_blob(&self, digest: BlobDigest, size: u64) -> Result<Vec<u8>, RegistryError> {
        let what = format!("blob {digest} of {}", self.name());
        let limit = self.settings().limits.config;
        if size > limit {
            return Err(RegistryError::TooLarge { what, limit });
        }
        self.retry.run(|| {
            let body = self.blob(digest, size, 0)?;
            let mut bytes = Vec::new();
            let broken = |source| RegistryError::Connection {
                method: "GET",
                url: what.clone(),
                source,
                transient: true,
            };
            body.reader.take(size + 1).read_to_end(&mut bytes).map_err(broken)?;
            if bytes.len() as u64 > size {
                return Err(RegistryError::TooLarge { what: what.clone(), limit: size });
            }
            if (bytes.len() as u64) < size {
                return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
            }
            let found = BlobDigest(Digest::of(&bytes));
            if found != digest {
                return Err(RegistryError::Corrupt { what: what.clone(), expected: digest, found });
            }
            Ok(bytes)
        })
    }

    /// `GET blobs/DIGEST` from a byte on. A registry that cannot do that begins at 0.
    pub(super) fn blob(&self, digest: BlobDigest, size: u64, from: u64) -> Result<BlobBody, RegistryError> {
        let uri = self.uri(&format!("blobs/{digest}"))?;
        let headers = [("range", format!("bytes={from}-"))];
        let response = self.call("GET", &uri, if from > 0 { &headers } else { &[] }, Payload::Empty)?;
        if response.status() == 404 {
            return Err(RegistryError::NotFound(format!("blob {digest} of {}", self.name())));
        }
        let response = self.expect(&[200, 206], "GET", &uri, response)?;
        let start = if response.status() == 206 {
            let range = text(response.headers(), header::CONTENT_RANGE);
            let start = range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse().ok());
            if start != Some(from) {
                return Err(RegistryError::document(
                    &shown(&uri),
                    "the answer is another part than was asked for",
                ));
            }
            from
        } else {
            0
        };
        if let Some(length) = response.body().content_length()
            && length != size - start
        {
            let what = format!("blob {digest} of {}", self.name());
            return Err(RegistryError::Length { what, expected: size, found: length.saturating_add(start) });
        }
        Ok(BlobBody { reader: response.into_body().into_reader(), from: start })
    }

    /// `HEAD blobs/DIGEST`.
    pub(super) fn has_blob(&self, digest: BlobDigest) -> Result<bool, RegistryError> {
        self.has(&self.uri(&format!("blobs/{digest}"))?, &[])
    }

    /// `HEAD manifests/DIGEST`.
    pub(super) fn has_manifest(&self, digest: Digest) -> Result<bool, RegistryError> {
        let uri = self.uri(&format!("manifests/{digest}"))?;
        let headers = [("accept", MANIFEST_TYPES.join(", "))];
        self.has(&uri, &headers)
    }

    fn has(&self, uri: &Uri, headers: &[(&'static str, String)]) -> Result<bool, RegistryError> {
        self.retry.run(|| {
            let response = self.call("HEAD", uri, headers, Payload::Empty)?;
            match response.status().as_u16() {
                200 => Ok(true),
                404 => Ok(false),
                _ => Err(self.refusal("HEAD", uri, response)),
            }
        })
    }

    /// `POST blobs/uploads/`, which mounts the blob when another repository (`from`) has it.
    pub(super) fn begin_upload(&self, mount: Option<(BlobDigest, &str)>) -> Result<Upload, RegistryError> {
        let mut target = format!("{}/v2/{}/blobs/uploads/", self.endpoint.base, self.path);
        if let Some((digest, from)) = mount {
            target = uri::with_parameter(&target, "mount", &digest.to_string());
            target = uri::with_parameter(&target, "from", from);
        }
        let uri = parse_uri(&target)?;
        self.retry.run(|| {
            let response = self.call("POST", &uri, &[], Payload::Empty)?;
            match response.status().as_u16() {
                201 if mount.is_some() => Ok(Upload::Mounted),
                202 => self.location(&uri, &response).map(Upload::Session),
                _ => Err(self.refusal("POST", &uri, response)),
            }
        })
    }

    /// `PATCH SESSION`: bytes from `offset` on. Returns where the upload goes on. Not tried again here.
    pub(super) fn send_chunk(
        &self,
        session: &Uri,
        chunk: &mut dyn Read,
        offset: u64,
        length: u64,
    ) -> Result<Uri, RegistryError> {
        let headers = [
            ("content-type", "application/octet-stream".to_owned()),
            ("content-range", format!("{offset}-{}", offset + length.saturating_sub(1))),
        ];
        let response = self.call("PATCH", session, &headers, Payload::Stream(chunk, length))?;
        let response = self.expect(&[202], "PATCH", session, response)?;
        self.location(session, &response)
    }

    /// `PUT SESSION?digest=…` with what is left of the blob. Not tried again here.
    pub(super) fn finish_upload(
        &self,
        session: &Uri,
        digest: BlobDigest,
        rest: Option<(&mut dyn Read, u64)>,
    ) -> Result<(), RegistryError> {
        let uri = parse_uri(&uri::with_parameter(&session.to_string(), "digest", &digest.to_string()))?;
        let headers = [("content-type", "application/octet-stream".to_owned())];
        let payload = rest.map_or(Payload::Empty, |(reader, length)| Payload::Stream(reader, length));
        let response = self.call("PUT", &uri, &headers, payload)?;
        self.expect(&[201, 204], "PUT", &uri, response).map(drop)
    }

    /// `PUT manifests/REFERENCE`.
    pub(super) fn put_manifest(
        &self,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let uri = self.uri(&format!("manifests/{reference}"))?;
        let headers = [("content-type", media_type.to_owned())];
        self.retry.run(|| {
            let response = self.call("PUT", &uri, &headers, Payload::Bytes(bytes))?;
            self.expect(&[200, 201, 202], "PUT", &uri, response).map(drop)
        })
    }

    /// `DELETE manifests/DIGEST`, and with it all tags that lead there. One that is gone is no error.
    pub(super) fn delete_manifest(&self, digest: Digest) -> Result<(), RegistryError> {
        let uri = self.uri(&format!("manifests/{digest}"))?;
        self.retry.run(|| {
            let response = self.call("DELETE", &uri, &[], Payload::Empty)?;
            self.expect(&[200, 202, 404], "DELETE", &uri, response).map(drop)
        })
    }

    fn location(&self, from: &Uri, response: &Response<Body>) -> Result<Uri, RegistryError> {
        let location = text(response.headers(), header::LOCATION);
        uri::join(from, &location)
            .ok_or_else(|| RegistryError::document(&shown(from), "the upload has no address"))
    }

    fn expect(
        &self,
        wanted: &[u16],
        method: &'static str,
        uri: &Uri,
        response: Response<Body>,
    ) -> Result<Response<Body>, RegistryError> {
        if wanted.contains(&response.status().as_u16()) {
            Ok(response)
        } else {
            Err(self.refusal(method, uri, response))
        }
    }

    fn refusal(&self, method: &'static str, uri: &Uri, response: Response<Body>) -> RegistryError {
        let is_denial = matches!(response.status().as_u16(), 401 | 403);
        match status_error(method, uri, response) {
            RegistryError::Status { message, .. } if is_denial => {
                denied(&self.endpoint, &self.scope, message)
            }
            error => error,
        }
    }
}

pub(super) fn parse_uri(text: &str) -> Result<Uri, RegistryError> {
    text.parse().map_err(|_| RegistryError::document(text, "this is no address"))
}

fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
