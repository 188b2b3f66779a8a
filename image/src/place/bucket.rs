//! A bucket of an object store that speaks S3's protocol: Amazon's, MinIO, Ceph, and many others.
//!
//! Blobs are the objects `PREFIXblobs/DIGEST`, heads are `PREFIXmanifests/NAME`, as BuildKit has them. Putting an object
//! is atomic in S3. Requests are signed in their address (`rusty-s3` does that, and no more); the connections are those
//! of the registries' client, with its proxies, authorities and time limits.

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

use super::{Head, Place, PlaceError, Stored};
use crate::digest::BlobDigest;
use crate::manifest::Descriptor;
use crate::registry::{
    Http, Payload, RegistryError, Request, Retry, Settings, Silent, read_all, status_error,
};
use crate::time::Timestamp;

/// How long a signature holds: longer than any upload.
const SIGNED_FOR: Duration = Duration::from_secs(6 * 3600);
/// More than any manifest of ours.
const MAX_DOCUMENT: u64 = 64 << 20;

/// Which bucket, and who asks.
#[derive(Clone)]
pub struct BucketSettings {
    /// Its name.
    pub bucket: String,
    /// Where it is: `eu-central-1`.
    pub region: String,
    /// The server; None for Amazon's.
    pub endpoint: Option<String>,
    /// True where the bucket is a part of the path, and not of the host's name.
    pub path_style: bool,
    /// What all names of objects begin with.
    pub prefix: String,
    /// Of the head.
    pub name: String,
    /// None for a bucket that is open to everybody.
    pub key: Option<Key>,
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

impl fmt::Debug for BucketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, region, endpoint, .. } = self;
        write!(f, "BucketSettings({bucket} in {region} of {endpoint:?})")
    }
}

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
    credentials: Option<Credentials>,
    prefix: String,
    name: String,
}

impl Bucket {
    /// Opens no connection. `http` says how to make some.
    ///
    /// # Errors
    /// When the settings are no address.
    pub fn new(settings: &BucketSettings, http: &Settings) -> Result<Self, PlaceError> {
        let BucketSettings { bucket, region, endpoint, path_style, prefix, name, key } = settings.clone();
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
        let credentials = key.map(|Key { id, secret, token }| match token {
            Some(token) => Credentials::new_with_token(id, secret, token),
            None => Credentials::new(id, secret),
        });
        let settings = Arc::new(http);
        Ok(Self { http: Http::new(Arc::clone(&settings)), settings, bucket, credentials, prefix, name })
    }

    fn blob(&self, digest: BlobDigest) -> String {
        format!("{}blobs/{digest}", self.prefix)
    }

    fn manifest(&self, name: &str) -> String {
        format!("{}manifests/{name}", self.prefix)
    }

    /// Sends a request whose signature is in its address. `payload` is made anew for each attempt.
    fn call<'a, T>(
        &self,
        method: &'static str,
        url: &url::Url,
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
            let request = Request { method, uri: uri.clone(), headers: &[], authorization: None, payload };
            answer(&uri, self.http.send(request)?)
        })?)
    }

    fn put<'a>(
        &self,
        object: &str,
        payload: impl Fn() -> Result<(Box<dyn Read + 'a>, u64), RegistryError>,
    ) -> Result<(), PlaceError> {
        let url = self.bucket.put_object(self.credentials.as_ref(), object).sign(SIGNED_FOR);
        self.call(
            "PUT",
            &url,
            || payload().map(Some),
            |uri, response| match response.status().as_u16() {
                200 | 201 | 204 => Ok(()),
                _ => Err(status_error("PUT", uri, response)),
            },
        )
    }

    /// An object's bytes; None if there is none.
    fn small(&self, object: &str) -> Result<Option<Vec<u8>>, PlaceError> {
        let url = self.bucket.get_object(self.credentials.as_ref(), object).sign(SIGNED_FOR);
        self.call(
            "GET",
            &url,
            || Ok(None),
            |uri, response| match response.status().as_u16() {
                200 => read_all("GET", uri, response, MAX_DOCUMENT).map(Some),
                404 => Ok(None),
                _ => Err(status_error("GET", uri, response)),
            },
        )
    }

    fn delete(&self, object: &str) -> Result<(), PlaceError> {
        let url = self.bucket.delete_object(self.credentials.as_ref(), object).sign(SIGNED_FOR);
        self.call(
            "DELETE",
            &url,
            || Ok(None),
            |uri, response| match response.status().as_u16() {
                200 | 204 | 404 => Ok(()),
                _ => Err(status_error("DELETE", uri, response)),
            },
        )
    }

    /// The objects whose names begin with our prefix and `below`, without that.
    fn list(&self, below: &str) -> Result<Vec<Object>, PlaceError> {
        let prefix = format!("{}{below}", self.prefix);
        let mut found = Vec::new();
        let mut more: Option<String> = None;
        loop {
            let mut action = self.bucket.list_objects_v2(self.credentials.as_ref());
            action.with_prefix(prefix.as_str());
            if let Some(more) = &more {
                action.with_continuation_token(more.as_str());
            }
            let url = action.sign(SIGNED_FOR);
            let bytes = self.call(
                "GET",
                &url,
                || Ok(None),
                |uri, response| match response.status().as_u16() {
                    200 => read_all("GET", uri, response, MAX_DOCUMENT),
                    _ => Err(status_error("GET", uri, response)),
                },
            )?;
            let text = String::from_utf8_lossy(&bytes);
            let page = ListObjectsV2::parse_response(&text)
                .map_err(|error| PlaceError::document(format!("list of {}", self.name()), error))?;
            for object in page.contents {
                if let Some(rest) = object.key.strip_prefix(&prefix) {
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
            _ => return Err(status_error("GET", uri, response)),
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
        format!("bucket {}/{}{}", self.bucket.name(), self.prefix, self.name)
    }

    fn head(&self) -> Result<Option<Vec<u8>>, PlaceError> {
        self.small(&self.manifest(&self.name))
    }

    fn read(&self, blob: &Descriptor, out: &mut dyn Write) -> Result<(), PlaceError> {
        let url = self.bucket.get_object(self.credentials.as_ref(), &self.blob(blob.digest)).sign(SIGNED_FOR);
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
        let url =
            self.bucket.head_object(self.credentials.as_ref(), &self.blob(blob.digest)).sign(SIGNED_FOR);
        self.call(
            "HEAD",
            &url,
            || Ok(None),
            |uri, response| match response.status().as_u16() {
                200 => Ok(response.body().content_length().is_none_or(|length| length == blob.size)),
                404 => Ok(false),
                _ => Err(status_error("HEAD", uri, response)),
            },
        )
    }

    fn write(&self, blob: &Descriptor, file: &Path) -> Result<(), PlaceError> {
        self.put(&self.blob(blob.digest), || {
            let file = File::open(file).map_err(RegistryError::file("open", file))?;
            Ok((Box::new(file) as Box<dyn Read>, blob.size))
        })
    }

    fn switch(&self, manifest: &[u8]) -> Result<(), PlaceError> {
        self.put(&self.manifest(&self.name), || {
            Ok((Box::new(io::Cursor::new(manifest)) as Box<dyn Read>, manifest.len() as u64))
        })
    }

    fn heads(&self) -> Result<Vec<Head>, PlaceError> {
        let mut heads = Vec::new();
        for Object { name, .. } in self.list("manifests/")? {
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
        let objects = self.list("blobs/")?.into_iter();
        let stored = |Object { name, modified: written, size }| {
            name.parse().ok().map(|digest| Stored { digest, size, written })
        };
        Ok(objects.filter_map(stored).collect())
    }

    fn remove_blob(&self, digest: BlobDigest) -> Result<(), PlaceError> {
        self.delete(&self.blob(digest))
    }
}
