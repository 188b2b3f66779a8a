//! A bucket of an object store that speaks S3's protocol: Amazon's, MinIO, Ceph, and many others.
//!
//! Blobs are the objects `PREFIXblobs/DIGEST`, heads are `PREFIXmanifests/NAME`, as BuildKit has them. Putting an object
//! is atomic in S3, also where it goes up in parts (`parts`). `access` finds out who asks. Requests are signed in their address (`rusty-s3` does that, and no more); the connections are those
//! of the registries' client, with its proxies, authorities and time limits.

mod access;
mod parts;
mod settings;
mod touch;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Credentials, S3Action, UrlStyle};
use ureq::Body;
use ureq::http::{Response, Uri};

pub use access::{Access, Key};
pub use settings::{BucketSettings, PART_SIZE};

use super::{Address, BucketAddress, Head, Place, PlaceError, Stored};
use crate::digest::BlobDigest;
use crate::manifest::Descriptor;
use crate::registry::{
    Http, Payload, RegistryError, Request, Retry, Settings, Silent, read_all, status_error,
};
use crate::time::Timestamp;

/// How long a signature holds: longer than any upload.
const SIGNED_FOR: Duration = Duration::from_secs(6 * 3600);
/// What can be done where access is denied.
const WHO_ASKS: &str =
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or access_key_id= say who asks";
/// More than any manifest of ours.
const MAX_DOCUMENT: u64 = 64 << 20;

/// An object of a list.
struct Object {
    name: String,
    modified: Option<Timestamp>,
    size: u64,
}

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    http: Http,
    settings: Arc<Settings>,
    bucket: rusty_s3::Bucket,
    who: access::Who,
    address: BucketAddress,
    aliases: Vec<String>,
    touch_after: Option<Duration>,
    part_size: u64,
}

impl Bucket {
    /// Opens no connection. `http` says how to make some.
    ///
    /// # Errors
    /// When the settings are no address.
    pub fn new(settings: &BucketSettings, http: &Settings) -> Result<Self, PlaceError> {
        let BucketAddress { bucket, region, endpoint, path_style, .. } = settings.address.clone();
        let address = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let wrong = |reason: &dyn fmt::Display| PlaceError::document(format!("endpoint {address:?}"), reason);
        let url: url::Url = address.parse().map_err(|error| wrong(&error))?;
        let mut http = http.clone();
        if url.scheme() == "http" {
            // Whoever writes http means it.
            http.insecure.extend(url.host_str().map(str::to_owned));
        }
        let style = if path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = rusty_s3::Bucket::new(url, style, bucket, region).map_err(|error| wrong(&error))?;
        if bucket.base_url().scheme() == "http" {
            http.insecure.extend(bucket.base_url().host_str().map(str::to_owned));
        }
        let transport = Arc::new(http);
        Ok(Self {
            http: Http::new(Arc::clone(&transport)),
            who: access::Who::new(settings.access.clone(), &transport),
            settings: transport,
            bucket,
            address: settings.address.clone(),
            aliases: settings.aliases.clone(),
            touch_after: settings.touch_after,
            part_size: settings.part_size,
        })
    }

    /// Who asks now; None for nobody.
    fn credentials(&self) -> Result<Option<Credentials>, PlaceError> {
        self.who.credentials()
    }

    fn blob(&self, digest: BlobDigest) -> String {
        format!("{}{digest}", self.address.blobs)
    }

    fn manifest(&self, name: &str) -> String {
        format!("{}{name}", self.address.manifests)
    }

    /// Sends a request whose signature is in its address. `payload` is made anew for each attempt.
    fn call<'a, T>(
        &self,
        method: &'static str,
        url: &url::Url,
        payload: impl Fn() -> Result<Option<(Box<dyn Read + 'a>, u64)>, RegistryError>,
        answer: impl Fn(&Uri, Response<Body>) -> Result<T, RegistryError>,
    ) -> Result<T, PlaceError> {
        self.call_with(method, url, &[], payload, answer)
    }

    /// The same with headers that are signed, too.
    fn call_with<'a, T>(
        &self,
        method: &'static str,
        url: &url::Url,
        headers: &[(&'static str, String)],
        payload: impl Fn() -> Result<Option<(Box<dyn Read + 'a>, u64)>, RegistryError>,
        answer: impl Fn(&Uri, Response<Body>) -> Result<T, RegistryError>,
    ) -> Result<T, PlaceError> {
        let uri: Uri = url.as_str().parse().map_err(|error| PlaceError::document(url.path(), error))?;
        let retry = Retry::new(&self.settings, &Silent);
        Ok(retry.run(|| {
            let mut body = payload()?;
            let payload = match &mut body {
                Some((reader, length)) => Payload::Stream(reader, *length),
                None => Payload::Empty,
            };
            let request = Request { method, uri: uri.clone(), headers, authorization: None, payload };
            answer(&uri, self.http.send(request)?)
        })?)
    }

    fn put<'a>(
        &self,
        object: &str,
        payload: impl Fn() -> Result<(Box<dyn Read + 'a>, u64), RegistryError>,
    ) -> Result<(), PlaceError> {
        let url = self.bucket.put_object(self.credentials()?.as_ref(), object).sign(SIGNED_FOR);
        self.call(
            "PUT",
            &url,
            || payload().map(Some),
            |uri, response| match response.status().as_u16() {
                200 | 201 | 204 => Ok(()),
                _ => Err(self.failed("PUT", uri, response)),
            },
        )
    }

    /// An answer that is not what was hoped for.
    fn failed(&self, method: &'static str, uri: &Uri, response: Response<Body>) -> RegistryError {
        match status_error(method, uri, response) {
            RegistryError::Status { status: 401 | 403, message, .. } => {
                RegistryError::Denied { what: self.name(), hint: WHO_ASKS, message }
            }
            other => other,
        }
    }

    /// An object's bytes; None if there is none.
    fn small(&self, object: &str) -> Result<Option<Vec<u8>>, PlaceError> {
        let url = self.bucket.get_object(self.credentials()?.as_ref(), object).sign(SIGNED_FOR);
        self.call(
            "GET",
            &url,
            || Ok(None),
            |uri, response| match response.status().as_u16() {
                200 => read_all("GET", uri, response, MAX_DOCUMENT).map(Some),
                404 => Ok(None),
                _ => Err(self.failed("GET", uri, response)),
            },
        )
    }

    fn delete(&self, object: &str) -> Result<(), PlaceError> {
        let url = self.bucket.delete_object(self.credentials()?.as_ref(), object).sign(SIGNED_FOR);
        self.remove(&url)
    }

    /// What is not there need not be removed.
    fn remove(&self, url: &url::Url) -> Result<(), PlaceError> {
        self.call(
            "DELETE",
            url,
            || Ok(None),
            |uri, response| match response.status().as_u16() {
                200 | 204 | 404 => Ok(()),
                _ => Err(self.failed("DELETE", uri, response)),
            },
        )
    }

    /// The answer to a request without a payload.
    fn document(&self, method: &'static str, url: &url::Url) -> Result<Vec<u8>, PlaceError> {
        self.call(
            method,
            url,
            || Ok(None),
            |uri, response| match response.status().as_u16() {
                200 => read_all(method, uri, response, MAX_DOCUMENT),
                _ => Err(self.failed(method, uri, response)),
            },
        )
    }

    /// The objects whose names begin with `prefix`, without that.
    fn list(&self, prefix: &str) -> Result<Vec<Object>, PlaceError> {
        let mut found = Vec::new();
        let mut more: Option<String> = None;
        loop {
            let credentials = self.credentials()?;
            let mut action = self.bucket.list_objects_v2(credentials.as_ref());
            action.with_prefix(prefix);
            if let Some(more) = &more {
                action.with_continuation_token(more.as_str());
            }
            let url = action.sign(SIGNED_FOR);
            let bytes = self.document("GET", &url)?;
            let text = String::from_utf8_lossy(&bytes);
            let page = ListObjectsV2::parse_response(&text)
                .map_err(|error| PlaceError::document(format!("list of {}", self.name()), error))?;
            for object in page.contents {
                if let Some(rest) = object.key.strip_prefix(prefix) {
                    found.push(Object {
                        name: rest.to_owned(),
                        modified: object.last_modified.as_deref().and_then(|text| text.parse().ok()),
                        size: object.size.unwrap_or(0),
                    });
                }
            }
            more = page.next_continuation_token;
            if more.is_none() {
                return Ok(found);
            }
        }
    }

    /// Hands an object to `out` from byte `done` on, and counts.
    fn read_on(&self, uri: &Uri, done: &mut u64, out: &mut dyn Write) -> Result<(), RegistryError> {
        let range = [("range", format!("bytes={done}-"))];
        let request = Request {
            method: "GET",
            uri: uri.clone(),
            headers: if *done > 0 { &range } else { &[] },
            authorization: None,
            payload: Payload::Empty,
        };
        let response = self.http.send(request)?;
        let mut skip = match response.status().as_u16() {
            206 => 0,
            // A server that cannot begin in the middle sends again what we have.
            200 => *done,
            _ => return Err(self.failed("GET", uri, response)),
        };
        let mut reader = response.into_body().into_reader();
        let mut piece = vec![0; 256 << 10];
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(source) => {
                    let url = uri.path().to_owned();
                    return Err(RegistryError::Connection { method: "GET", url, source, transient: true });
                }
            };
            let skipped = skip.min(count as u64);
            skip -= skipped;
            let fresh = &piece[usize::try_from(skipped).unwrap_or(count)..count];
            out.write_all(fresh).map_err(RegistryError::file("write", uri.path()))?;
            *done += fresh.len() as u64;
        }
    }
}

impl Place for Bucket {
    fn name(&self) -> String {
        self.address().to_string()
    }

    fn address(&self) -> Address {
        Address::Bucket(self.address.clone())
    }

    fn head(&self) -> Result<Option<Vec<u8>>, PlaceError> {
        self.small(&self.manifest(&self.address.name))
    }

    fn read(&self, blob: &Descriptor, out: &mut dyn Write) -> Result<(), PlaceError> {
        let url =
            self.bucket.get_object(self.credentials()?.as_ref(), &self.blob(blob.digest)).sign(SIGNED_FOR);
        let uri: Uri = url.as_str().parse().map_err(|error| PlaceError::document(url.path(), error))?;
        let retry = Retry::new(&self.settings, &Silent);
        let (mut done, mut tried) = (0, 0);
        loop {
            let before = done;
            let result = self.read_on(&uri, &mut done, out);
            match result {
                Ok(()) if done < blob.size && done > before => {}
                Ok(()) => return Ok(()),
                Err(error) => {
                    if done > before {
                        tried = 0;
                    }
                    retry.again(&mut tried, error)?;
                }
            }
        }
    }

    fn has(&self, blob: &Descriptor) -> Result<bool, PlaceError> {
        let object = self.blob(blob.digest);
        let credentials = self.credentials()?;
        let url = self.bucket.head_object(credentials.as_ref(), &object).sign(SIGNED_FOR);
        let found = self.call(
            "HEAD",
            &url,
            || Ok(None),
            |uri, response| match response.status().as_u16() {
                200 => Ok(Some((response.body().content_length(), touch::modified(&response)))),
                404 => Ok(None),
                _ => Err(self.failed("HEAD", uri, response)),
            },
        )?;
        let Some((length, modified)) = found else { return Ok(false) };
        if length.is_some_and(|length| length != blob.size) {
            return Ok(false);
        }
        self.keeps(&object, blob.size, modified)
    }

    fn write(&self, blob: &Descriptor, file: &Path) -> Result<(), PlaceError> {
        let object = self.blob(blob.digest);
        if blob.size > self.part_size {
            return self.put_in_parts(&object, blob.size, file);
        }
        self.put(&object, || {
            let file = File::open(file).map_err(RegistryError::file("open", file))?;
            Ok((Box::new(file) as Box<dyn Read>, blob.size))
        })
    }

    fn switch(&self, manifest: &[u8]) -> Result<(), PlaceError> {
        std::iter::once(&self.address.name).chain(&self.aliases).try_for_each(|name| {
            self.put(&self.manifest(name), || {
                Ok((Box::new(io::Cursor::new(manifest)) as Box<dyn Read>, manifest.len() as u64))
            })
        })
    }

    fn heads(&self) -> Result<Vec<Head>, PlaceError> {
        let mut heads = Vec::new();
        for Object { name, .. } in self.list(&self.address.manifests)? {
            if let Some(manifest) = self.small(&self.manifest(&name))? {
                heads.push(Head { name, manifest, replaced: false });
            }
        }
        Ok(heads)
    }

    fn remove_head(&self, head: &Head) -> Result<(), PlaceError> {
        self.delete(&self.manifest(&head.name))
    }

    fn blobs(&self) -> Result<Vec<Stored>, PlaceError> {
        let objects = self.list(&self.address.blobs)?.into_iter();
        let stored = |Object { name, modified: written, size }| {
            name.parse().ok().map(|digest| Stored { digest, size, written })
        };
        Ok(objects.filter_map(stored).collect())
    }

    fn remove_blob(&self, digest: BlobDigest) -> Result<(), PlaceError> {
        self.delete(&self.blob(digest))
    }
}
