//! Where overlayfs keeps its attributes, and rbuild the owners of files.

use serde::{Deserialize, Serialize};

use super::owner::Owners;

/// The namespace of the extended attributes that overlayfs reads and writes, and where owners are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// `trusted.overlay.*`: needs real root.
    Trusted,
    /// `user.overlay.*`: mounts inside of a user namespace, with the option `userxattr`.
    User,
    /// As `User`, where a single id is mapped: owners are noted in attributes too.
    Single,
}

impl Flavour {
    /// The attribute that makes a directory hide what lower layers have at its path; its value is `y`.
    pub const fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User | Self::Single => "user.overlay.opaque",
        }
    }

    /// The attribute of a directory that was copied up. The kernel looks for whiteouts in a directory that several
    /// layers have, and in one with this attribute, whatever its value; the whiteouts of others it lists as if they
    /// were files.
    pub const fn origin(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.origin",
            Self::User | Self::Single => "user.overlay.origin",
        }
    }

    /// What all names of overlayfs's attributes begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User | Self::Single => "user.overlay.",
        }
    }

    /// Where the owners of files are kept.
    pub const fn owners(self) -> Owners {
        match self {
            Self::Trusted | Self::User => Owners::Inode,
            Self::Single => Owners::Notes,
        }
    }
}
