//! Objects that are made young, so that rules of the bucket that remove old ones leave those alone which are in use.

use std::time::Duration;

use rusty_s3::S3Action;
use ureq::Body;
use ureq::http::Response;

use super::{Bucket, SIGNED_FOR};
use crate::http_date;
use crate::place::PlaceError;
use crate::time::Timestamp;

/// S3 copies no larger object in one request, in bytes.
const MAX_COPY: u64 = 5 << 30;

impl Bucket {
    /// Whether an object that is there will stay. `modified` is in seconds since 1970.
    pub(super) fn keeps(&self, object: &str, size: u64, modified: Option<i64>) -> Result<bool, PlaceError> {
        match (self.touch_after, modified) {
            // One that cannot be made young is written again.
            (Some(limit), Some(modified)) if is_older(modified, limit) && size <= MAX_COPY => {
                Ok(self.touch(object).is_ok())
            }
            _ => Ok(true),
        }
    }

    /// Makes an object young by copying it onto itself.
    fn touch(&self, object: &str) -> Result<(), PlaceError> {
        let credentials = self.credentials()?;
        let mut action = self.bucket.put_object(credentials.as_ref(), object);
        let source = format!("/{}{}", self.bucket.name(), encoded(object));
        let headers = [("x-amz-copy-source", source), ("x-amz-metadata-directive", "REPLACE".to_owned())];
        for (name, value) in &headers {
            action.headers_mut().insert(*name, value.clone());
        }
        let url = action.sign(SIGNED_FOR);
        self.call_with(
            "PUT",
            &url,
            &headers,
            || Ok(None),
            |uri, response| match response.status().as_u16() {
                200 => Ok(()),
                _ => Err(self.failed("PUT", uri, response)),
            },
        )
    }
}

/// In seconds since 1970.
pub(super) fn modified(response: &Response<Body>) -> Option<i64> {
    http_date::parse(response.headers().get("last-modified")?.to_str().ok()?)
}

fn is_older(modified: i64, than: Duration) -> bool {
    let age = Timestamp::now().secs.saturating_sub(modified);
    u64::try_from(age).is_ok_and(|age| age > than.as_secs())
}

/// The path of an object in a URL.
fn encoded(object: &str) -> String {
    let mut url = url::Url::parse("s3://bucket").expect("it is one");
    url.set_path(object);
    url.path().to_owned()
}
