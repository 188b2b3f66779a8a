//! `--cache-from` and `--cache-to`, in buildx's words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use rbuild_builder::request::CacheMode;
use rbuild_image::digest::BlobDigest;
use rbuild_image::place::{Address, BucketSettings};
use rbuild_image::reference::Reference;
use rbuild_image::registry::Compression;

use super::{Environment, bucket, pairs, registry};
use crate::args::CompressionKind;
use crate::exit::Failure;

/// Where a cache is.
#[derive(Debug, Clone)]
pub(crate) enum CachePlace {
    /// `type=local`.
    Folder {
        /// `src=` or `dest=`.
        path: PathBuf,
        /// `tag=`.
        tag: String,
        /// `digest=`.
        digest: Option<BlobDigest>,
    },
    /// `type=registry`.
    Registry(Reference),
    /// `type=s3`.
    Bucket(BucketSettings),
}

/// What is written where.
#[derive(Debug, Clone)]
pub(crate) struct CacheTo {
    /// Where.
    pub(crate) place: CachePlace,
    /// `mode=`.
    pub(crate) mode: CacheMode,
    /// `compression=`.
    pub(crate) compression: Compression,
    /// `ignore-error=`.
    pub(crate) ignore_errors: bool,
}

impl CachePlace {
    /// `--remote`: as `--cache-from`, or the path of a folder.
    pub(crate) fn parse(text: &str, environment: &Environment) -> Result<Self, Failure> {
        if text.starts_with(['/', '.']) {
            return Ok(Self::Folder { path: text.into(), tag: "latest".to_owned(), digest: None });
        }
        from_flag("--remote", text, environment)
    }

    /// The place of an earlier build; None where it cannot be found any more.
    pub(crate) fn again(address: &Address, environment: &Environment) -> Option<Self> {
        match address {
            Address::Folder { path, tag } => {
                Some(Self::Folder { path: path.clone(), tag: tag.clone(), digest: None })
            }
            Address::Registry { reference } => reference.parse().ok().map(Self::Registry),
            Address::Bucket(address) => bucket::again(address, environment).ok().map(Self::Bucket),
        }
    }
}

/// The members of one flag; those that were understood are taken out.
pub(super) struct Members<'a> {
    flag: &'static str,
    text: &'a str,
    left: BTreeMap<String, String>,
}

impl<'a> Members<'a> {
    /// A text without `=` is the name of an image.
    fn parse(flag: &'static str, text: &'a str) -> Result<Self, Failure> {
        let left = if text.contains('=') {
            pairs::members(flag, text)?.into_iter().collect()
        } else {
            [("type", "registry"), ("ref", text)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        Ok(Self { flag, text, left })
    }

    pub(super) fn wrong(&self, what: &str) -> Failure {
        Failure::usage(format!("invalid argument {:?} for {}: {what}", self.text, self.flag))
    }

    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.left.remove(key)
    }

    fn need(&mut self, key: &str) -> Result<String, Failure> {
        let value = self.take(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| self.wrong(&format!("{key}= is missing")))
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        let value = self.take(key).map(|value| value.parse());
        value.transpose().map_err(|_| self.wrong(&format!("{key}= is true or false")))
    }

    /// Where; `folder` is the member that names a folder.
    fn place(&mut self, folder: &str, environment: &Environment) -> Result<CachePlace, Failure> {
        match self.take("type").as_deref() {
            Some("local") => {
                let digest = self.take("digest").map(|text| text.parse::<BlobDigest>()).transpose();
                let digest = digest.map_err(|error| self.wrong(&format!("digest=: {error}")))?;
                let tag = self.take("tag").unwrap_or_else(|| "latest".to_owned());
                Ok(CachePlace::Folder { path: self.need(folder)?.into(), tag, digest })
            }
            Some("registry") => {
                let name = self.need("ref")?;
                let reference = name.parse().map_err(|error| self.wrong(&format!("ref={name}: {error}")))?;
                Ok(CachePlace::Registry(reference))
            }
            Some("s3") => self.bucket(environment).map(CachePlace::Bucket),
            Some(other) => {
                Err(self.wrong(&format!("type={other} is not supported (local, registry, s3, inline)")))
            }
            None => Err(self.wrong("type= is missing")),
        }
    }

    fn end(self) -> Result<(), Failure> {
        match self.left.keys().next() {
            Some(key) => Err(self.wrong(&format!("{key}= is not supported"))),
            None => Ok(()),
        }
    }
}

/// `--cache-from`.
pub(super) fn from(text: &str, environment: &Environment) -> Result<CachePlace, Failure> {
    from_flag("--cache-from", text, environment)
}

fn from_flag(flag: &'static str, text: &str, environment: &Environment) -> Result<CachePlace, Failure> {
    let mut members = Members::parse(flag, text)?;
    let place = members.place("src", environment)?;
    members.end()?;
    Ok(place)
}

/// `--cache-to`; None for `type=inline`, which has no place of its own.
pub(super) fn to(text: &str, environment: &Environment) -> Result<Option<CacheTo>, Failure> {
    let mut members = Members::parse("--cache-to", text)?;
    if members.left.get("type").is_some_and(|kind| kind == "inline") {
        members.take("type");
        // The image has no layers but its own.
        if members.take("mode").is_some_and(|mode| mode != "min") {
            return Err(members.wrong("type=inline has the layers of the image only: mode=min"));
        }
        members.end()?;
        return Ok(None);
    }
    let mut place = members.place("dest", environment)?;
    if let CachePlace::Bucket(bucket) = &mut place {
        bucket.touch_after = Some(members.touch_after()?);
    }
    if matches!(place, CachePlace::Folder { digest: Some(_), .. }) {
        return Err(members.wrong("digest= is for --cache-from"));
    }
    let mode = match members.take("mode").as_deref() {
        None | Some("min") => CacheMode::Min,
        Some("max") => CacheMode::Max,
        Some(_) => return Err(members.wrong("mode= is min or max")),
    };
    let kind = members.take("compression").map(|text| CompressionKind::from_str(&text, true)).transpose();
    let kind = kind.map_err(|_| members.wrong("compression= is gzip, zstd or uncompressed"))?;
    let level = members.take("compression-level").map(|text| text.parse()).transpose();
    let level = level.map_err(|_| members.wrong("compression-level= is a number"))?;
    let compression = registry::compression(kind, level).map_err(|what| members.wrong(what))?;
    // There is no other way here; scripts that ask for what they get shall work.
    for key in ["oci-mediatypes", "image-manifest"] {
        if members.flag(key)? == Some(false) {
            return Err(members.wrong(&format!("{key}=false is not supported: a cache is an OCI manifest")));
        }
    }
    let ignore_errors = members.flag("ignore-error")?.unwrap_or(false);
    members.end()?;
    Ok(Some(CacheTo { place, mode, compression, ignore_errors }))
}

#[cfg(test)]
mod tests {
    use rbuild_image::place::{Access, BucketAddress};

    use super::*;

    #[test]
    fn sources() {
        let folder = |tag: &str| {
            let (path, tag) = ("c".into(), tag.to_owned());
            Some(CachePlace::Folder { path, tag, digest: None })
        };
        let none = Environment::of(&[]);
        let image = |name: &str| Some(CachePlace::Registry(name.parse().expect("a name")));
        for (text, want) in [
            ("type=local,src=c", folder("latest")),
            ("type=local,src=c,tag=main", folder("main")),
            ("type=local,dest=c", None),
            ("type=local,src=", None),
            ("type=local,src=c,digest=x", None),
            ("type=registry,ref=r.example/x:cache", image("r.example/x:cache")),
            ("r.example/x:cache", image("r.example/x:cache")),
            ("type=registry,ref=UPPER", None),
            ("type=gha", None),
            ("src=c", None),
        ] {
            assert_eq!(format!("{:?}", from(text, &none).ok()), format!("{want:?}"), "{text}");
        }
    }

    #[test]
    fn targets() {
        let none = Environment::of(&[]);
        let parts =
            |text: &str| to(text, &none).ok().flatten().map(|to| (to.mode, to.compression, to.ignore_errors));
        assert!(to("type=inline", &none).expect("good").is_none());
        assert!(to("type=inline,mode=max", &none).is_err() && from("type=inline", &none).is_err());
        for (text, want) in [
            ("type=local,dest=c", Some((CacheMode::Min, Compression::Gzip(6), false))),
            (
                "type=local,dest=c,mode=max,ignore-error=true",
                Some((CacheMode::Max, Compression::Gzip(6), true)),
            ),
            (
                "type=registry,ref=x,compression=zstd,compression-level=9,oci-mediatypes=true",
                Some((CacheMode::Min, Compression::Zstd(9), false)),
            ),
            ("type=registry,ref=x,image-manifest=false", None),
            ("type=local,dest=c,mode=full", None),
            ("type=local,dest=c,compression=lzma", None),
            ("type=local,dest=c,src=d", None),
            ("type=local,dest=c,ignore-error=maybe", None),
        ] {
            assert_eq!(parts(text), want, "{text}");
        }
    }

    #[test]
    fn buckets() {
        let environment = Environment::of(&[
            ("AWS_REGION", "r"),
            ("AWS_ACCESS_KEY_ID", "i"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", "t"),
        ]);
        let bucket = |text: &str| match from(text, &environment) {
            Ok(CachePlace::Bucket(bucket)) => Some(bucket),
            _ => None,
        };
        let found = bucket("type=s3,bucket=b,prefix=p/,endpoint_url=http://m:9000,use_path_style=true")
            .expect("good");
        assert_eq!(
            found.address,
            BucketAddress {
                bucket: "b".into(),
                region: "r".into(),
                endpoint: Some("http://m:9000".into()),
                path_style: true,
                blobs: "p/blobs/".into(),
                manifests: "p/manifests/".into(),
                name: "rbuild".into()
            }
        );
        let key = |bucket: BucketSettings| match bucket.access {
            Access::Key(key) => (key.id, key.secret, key.token),
            other => panic!("{other:?}"),
        };
        assert_eq!(key(found), ("i".into(), "s".into(), Some("t".into())));
        let own = bucket("type=s3,bucket=b,region=q,access_key_id=x,secret_access_key=y").expect("good");
        assert_eq!(own.address.region, "q");
        assert_eq!(key(own), ("x".into(), "y".into(), None));
        let named = bucket("type=s3,bucket=b,prefix=p-,blobs_prefix=x/,manifests_prefix=y/,name=main;pr-1;");
        let named = named.expect("good");
        assert_eq!((&named.address.blobs[..], &named.address.manifests[..]), ("p-x/", "p-y/"));
        assert_eq!((&named.address.name[..], named.aliases), ("main", vec!["pr-1".to_owned()]));
        for wrong in [
            "type=s3,bucket=b,access_key_id=x",
            "type=s3",
            "type=s3,bucket=b,touch_refresh=1h",
            "type=s3,bucket=b,name=",
            "type=s3,bucket=b,blobs_prefix=x,manifests_prefix=x",
        ] {
            assert!(bucket(wrong).is_none(), "{wrong}");
        }
        let touch = |text: &str| match to(text, &environment).ok().flatten()?.place {
            CachePlace::Bucket(bucket) => bucket.touch_after.map(|after| after.as_secs()),
            _ => None,
        };
        assert_eq!(touch("type=s3,bucket=b"), Some(86_400));
        assert_eq!(touch("type=s3,bucket=b,touch_refresh=1h30m"), Some(5400));
        assert_eq!(touch("type=s3,bucket=b,touch_refresh=soon"), None);
    }
}
