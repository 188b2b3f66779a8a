//! `type=s3` of a cache, in buildx's words.

use std::time::Duration;

use rbuild_image::place::{Access, BucketAddress, BucketSettings, Key, PART_SIZE};

use super::Environment;
use super::amazon::Profile;
use super::cache::Members;
use super::seconds;
use crate::exit::Failure;

/// As BuildKit has it.
const TOUCH_AFTER: Duration = Duration::from_secs(24 * 3600);

impl Members<'_> {
    /// What is not said is looked up where Amazon's own tools look.
    pub(super) fn bucket(&mut self, environment: &Environment) -> Result<BucketSettings, Failure> {
        let variable = |names: &[&str]| {
            names.iter().find_map(|name| environment.value(name).filter(|value| !value.is_empty()))
        };
        let key = self.key()?;
        // Who says all of it needs no profile, not even one that is there.
        let profile = Profile::of(environment);
        let member = |name: &str| profile.as_ref().ok().and_then(|profile| profile.member(name));
        let bucket = self.take("bucket").or_else(|| variable(&["AWS_BUCKET"]));
        let region = self.take("region").or_else(|| variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let endpoint = self
            .take("endpoint_url")
            .or_else(|| variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]))
            .or_else(|| member("endpoint_url"));
        let region = region.or_else(|| member("region"));
        let access = match key {
            Some(key) => Access::Key(key),
            None => profile.and_then(|profile| profile.access(environment))?,
        };
        let prefix = self.take("prefix").unwrap_or_default();
        let below = |members: &mut Self, key: &str, usual: &str| {
            format!("{prefix}{}", members.take(key).unwrap_or_else(|| usual.to_owned()))
        };
        let names = self.take("name").unwrap_or_else(|| "rbuild".to_owned());
        let mut names = names.split(';').map(str::to_owned);
        let address = BucketAddress {
            bucket: bucket.ok_or_else(|| self.wrong("bucket= is missing, and AWS_BUCKET is not set"))?,
            region: region.ok_or_else(|| self.wrong("region= is missing, and AWS_REGION is not set"))?,
            // As buildx has it.
            path_style: self.flag("use_path_style")?.unwrap_or(false),
            endpoint,
            blobs: below(self, "blobs_prefix", "blobs/"),
            manifests: below(self, "manifests_prefix", "manifests/"),
            name: names.next().unwrap_or_default(),
        };
        if address.name.is_empty() {
            return Err(self.wrong("name= is empty"));
        }
        if address.blobs == address.manifests {
            return Err(self.wrong("blobs_prefix= and manifests_prefix= are the same"));
        }
        let aliases = names.filter(|name| !name.is_empty()).collect();
        Ok(BucketSettings { address, aliases, access, touch_after: None, part_size: PART_SIZE })
    }

    /// `touch_refresh=`, which only who writes can mean.
    pub(super) fn touch_after(&mut self) -> Result<Duration, Failure> {
        let Some(text) = self.take("touch_refresh") else { return Ok(TOUCH_AFTER) };
        let seconds = seconds(&text).and_then(|seconds| u64::try_from(seconds).ok());
        let seconds = seconds.ok_or_else(|| self.wrong("touch_refresh= is a duration like 24h"))?;
        Ok(Duration::from_secs(seconds))
    }

    fn key(&mut self) -> Result<Option<Key>, Failure> {
        let id = self.take("access_key_id");
        match (id, self.take("secret_access_key"), self.take("session_token")) {
            (Some(id), Some(secret), token) => Ok(Some(Key { id, secret, token })),
            (None, None, None) => Ok(None),
            _ => Err(self.wrong("access_key_id= and secret_access_key= belong together")),
        }
    }
}

/// The bucket of an earlier build, as whoever is at it now.
pub(super) fn again(address: &BucketAddress, environment: &Environment) -> Result<BucketSettings, Failure> {
    let access = Profile::of(environment)?.access(environment)?;
    let address = address.clone();
    Ok(BucketSettings { address, aliases: Vec::new(), access, touch_after: None, part_size: PART_SIZE })
}
