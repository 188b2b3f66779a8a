//! Where a place is, in words that can be kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a place is: enough to find it again. Nothing in it proves who asks; whoever opens the place again looks that
/// up anew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Address {
    /// An OCI layout.
    Folder {
        /// Absolute.
        path: PathBuf,
        /// Of the head.
        tag: String,
    },
    /// A tag of a repository in a registry.
    Registry {
        /// Its canonical name.
        reference: String,
    },
    /// Objects of a bucket.
    Bucket(BucketAddress),
}

/// Which bucket, and which of its objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BucketAddress {
    /// Its name.
    pub bucket: String,
    /// Where it is: `eu-central-1`.
    pub region: String,
    /// The server; None for Amazon's.
    pub endpoint: Option<String>,
    /// True where the bucket is a part of the path, and not of the host's name.
    pub path_style: bool,
    /// What the names of objects begin with that are blobs.
    pub blobs: String,
    /// What the names of objects begin with that are heads.
    pub manifests: String,
    /// Of the head.
    pub name: String,
}

impl std::fmt::Display for Address {
    /// As people say it: `folder /tmp/cache`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder { path, .. } => write!(f, "folder {}", path.display()),
            Self::Registry { reference } => write!(f, "registry {reference}"),
            Self::Bucket(BucketAddress { bucket, manifests, name, .. }) => {
                write!(f, "bucket {bucket}/{manifests}{name}")
            }
        }
    }
}
