//! Where overlayfs keeps its attributes.

use serde::{Deserialize, Serialize};

/// The namespace of the extended attributes that overlayfs reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// `trusted.overlay.*`: needs real root.
    Trusted,
    /// `user.overlay.*`: mounts inside of a user namespace, with the option `userxattr`.
    User,
}

impl Flavour {
    /// The attribute that makes a directory hide what lower layers have at its path; its value is `y`.
    pub const fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }

    /// What all names of overlayfs's attributes begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }
}
