//! How much the cache may take.

use std::path::Path;
use std::str::FromStr;

use super::RoomError;

/// A size, or a part of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the file system.
    Percent(u8),
}

/// Limits on the build cache, as BuildKit has them. None says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The cache may always have that much.
    pub reserved: Option<Space>,
    /// It may not have more.
    pub max_used: Option<Space>,
    /// So much of the file system is to stay free.
    pub min_free: Option<Space>,
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes.
    pub total: u64,
    /// Bytes that are free to ordinary users.
    pub free: u64,
}

impl Budget {
    /// What holds where nobody said anything.
    pub const DEFAULT: Self = Self {
        reserved: Some(Space::Percent(10)),
        max_used: Some(Space::Percent(60)),
        min_free: Some(Space::Percent(20)),
    };

    /// How much of a cache of `used` bytes may stay (BuildKit's rule): no more than the maximum, less where the
    /// disk is too full, but never less than what is reserved.
    #[must_use]
    pub fn keep(&self, used: u64, disk: Disk) -> u64 {
        let of = |space: Option<Space>| space.map(|space| space.bytes(disk));
        let limit = match (of(self.max_used), self.reserved.is_some() && self.min_free.is_none()) {
            (Some(max), _) => max,
            // Only what is reserved is given: that is what stays.
            (None, true) => 0,
            (None, false) => u64::MAX,
        };
        let missing = of(self.min_free).unwrap_or(0).saturating_sub(disk.free);
        let limit = if missing > 0 { limit.min(used.saturating_sub(missing)) } else { limit };
        limit.max(of(self.reserved).unwrap_or(0))
    }
}

impl Space {
    fn bytes(self, disk: Disk) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(part) => disk.total / 100 * u64::from(part),
        }
    }
}

impl FromStr for Space {
    type Err = String;

    /// `20GB` (powers of 1024, as docker takes it), `1.5g`, `1024`, or `20%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no size, as 20GB, nor a part of the disk, as 20%");
        if let Some(part) = text.trim().strip_suffix('%') {
            let part = part.trim().parse().ok().filter(|part| *part <= 100);
            return part.map(Self::Percent).ok_or_else(wrong);
        }
        let lower = text.trim().to_ascii_lowercase();
        let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
        let (number, unit) = lower.split_at(end);
        let unit = unit.trim().trim_end_matches('b').trim_end_matches('i');
        let power =
            ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit).ok_or_else(wrong)?;
        let number = number.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(wrong)?;
        let exponent = i32::try_from(power).unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "digits and a point: not negative; what is too large becomes the largest"
        )]
        Ok(Self::Bytes((number * 1024f64.powi(exponent)) as u64))
    }
}

impl Disk {
    /// The file system of a folder.
    pub(super) fn of(path: &Path) -> Result<Self, RoomError> {
        let found =
            rustix::fs::statvfs(path).map_err(|e| RoomError::io("look at the disk of", path)(e.into()))?;
        Ok(Self { total: found.f_blocks * found.f_frsize, free: found.f_bavail * found.f_frsize })
    }
}
