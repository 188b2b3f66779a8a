//! What a bucket has to be told.

use std::fmt;
use std::time::Duration;

use super::Access;
use crate::place::BucketAddress;

/// Larger blobs go up in parts of so many bytes: no request is longer than a bad line can stand, and S3 itself takes
/// no more than 5 GiB at once.
pub const PART_SIZE: u64 = 64 << 20;

/// Which bucket, who asks, and how it is written.
#[derive(Clone)]
pub struct BucketSettings {
    /// Which.
    pub address: BucketAddress,
    /// More names of the head: it is written under each, and read under the one of the address.
    pub aliases: Vec<String>,
    /// Who asks.
    pub access: Access,
    /// Blobs that are there and older than that are made young when a cache names them; None to leave them alone.
    pub touch_after: Option<Duration>,
    /// [`PART_SIZE`]. S3 wants 5 MiB at least.
    pub part_size: u64,
}

impl fmt::Debug for BucketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BucketAddress { bucket, region, endpoint, .. } = &self.address;
        write!(f, "BucketSettings({bucket} in {region} of {endpoint:?})")
    }
}
