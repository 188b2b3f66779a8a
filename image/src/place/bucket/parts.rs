//! Objects that are too large for one request: they go up in parts, and are there when the last one is confirmed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rusty_s3::S3Action;
use rusty_s3::actions::{AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload};

use super::{Bucket, MAX_DOCUMENT, SIGNED_FOR};
use crate::place::PlaceError;
use crate::registry::{RegistryError, read_all};

/// S3 takes no more parts of one object.
const MAX_PARTS: u64 = 10_000;
/// Parts of one object that are sent at the same time.
const AT_ONCE: u64 = 4;

impl Bucket {
    /// Puts the first `size` bytes of a file under the name `object`.
    pub(super) fn put_in_parts(&self, object: &str, size: u64, file: &Path) -> Result<(), PlaceError> {
        let upload = self.begin(object)?;
        let done = self
            .send_parts(object, &upload, size, file)
            .and_then(|etags| self.complete(object, &upload, &etags));
        if done.is_err() {
            // The parts cost money until somebody forgets them; the first error is what people want to know.
            let _ = self.abort(object, &upload);
        }
        done
    }

    fn begin(&self, object: &str) -> Result<String, PlaceError> {
        let credentials = self.credentials()?;
        let url = CreateMultipartUpload::new(&self.bucket, credentials.as_ref(), object).sign(SIGNED_FOR);
        let bytes = self.document("POST", &url)?;
        let answer = CreateMultipartUpload::parse_response(&String::from_utf8_lossy(&bytes));
        Ok(answer.map_err(|error| PlaceError::document(object, error))?.upload_id().to_owned())
    }

    /// The ETags of the parts, in order.
    fn send_parts(
        &self,
        object: &str,
        upload: &str,
        size: u64,
        file: &Path,
    ) -> Result<Vec<String>, PlaceError> {
        let length = self.part_size.max(size.div_ceil(MAX_PARTS));
        let count = size.div_ceil(length);
        let next = AtomicU64::new(0);
        let done = Mutex::new((vec![String::new(); usize::try_from(count).unwrap_or(0)], None));
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                let start = index * length;
                let part = Part { number: index + 1, start, length: length.min(size - start) };
                let sent = self.send_part(object, upload, &part, file);
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                match sent {
                    Ok(etag) => done.0[usize::try_from(index).expect("there are few parts")] = etag,
                    Err(cause) => {
                        next.store(count, Ordering::Relaxed);
                        done.1.get_or_insert(cause);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..AT_ONCE.min(count) {
                scope.spawn(work);
            }
            work();
        });
        let (etags, failure) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(etags), Err)
    }

    fn send_part(&self, object: &str, upload: &str, part: &Part, file: &Path) -> Result<String, PlaceError> {
        let credentials = self.credentials()?;
        let number = u16::try_from(part.number).expect("there are at most 10,000");
        let url = self.bucket.upload_part(credentials.as_ref(), object, number, upload).sign(SIGNED_FOR);
        self.call(
            "PUT",
            &url,
            || {
                let opened = File::open(file).and_then(|mut file| {
                    file.seek(SeekFrom::Start(part.start))?;
                    Ok(file)
                });
                let opened = opened.map_err(RegistryError::file("open", file))?;
                Ok(Some((Box::new(opened.take(part.length)) as Box<dyn Read>, part.length)))
            },
            |uri, response| match (response.status().as_u16(), response.headers().get("etag")) {
                (200, Some(etag)) => Ok(String::from_utf8_lossy(etag.as_bytes()).into_owned()),
                _ => Err(self.failed("PUT", uri, response)),
            },
        )
    }

    fn complete(&self, object: &str, upload: &str, etags: &[String]) -> Result<(), PlaceError> {
        let credentials = self.credentials()?;
        let action = || {
            let etags = etags.iter().map(String::as_str);
            CompleteMultipartUpload::new(&self.bucket, credentials.as_ref(), object, upload, etags)
        };
        let (url, body) = (action().sign(SIGNED_FOR), action().body());
        let bytes = self.call(
            "POST",
            &url,
            || Ok(Some((Box::new(io::Cursor::new(body.as_bytes())) as Box<dyn Read>, body.len() as u64))),
            |uri, response| match response.status().as_u16() {
                200 => read_all("POST", uri, response, MAX_DOCUMENT),
                _ => Err(self.failed("POST", uri, response)),
            },
        )?;
        // The status comes before the work is done: the body says how it ended.
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("<Error>") {
            return Err(PlaceError::document(format!("upload of {object}"), text.trim()));
        }
        Ok(())
    }

    fn abort(&self, object: &str, upload: &str) -> Result<(), PlaceError> {
        let credentials = self.credentials()?;
        let url =
            AbortMultipartUpload::new(&self.bucket, credentials.as_ref(), object, upload).sign(SIGNED_FOR);
        self.remove(&url)
    }
}

/// A part of an object.
struct Part {
    /// From 1.
    number: u64,
    start: u64,
    length: u64,
}
