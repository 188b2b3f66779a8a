//! Root of a user namespace, for users who are not root.
//!
//! - `namespace`: re-executing rbuild as root of a new user and mount namespace.
//! - `ranges`: which ids `/etc/subuid` and `/etc/subgid` lend to a user.
//! - `probe`: what we are, and what this machine allows.

mod namespace;
mod probe;
mod ranges;

pub use namespace::{NamespaceError, ensure_user_namespace};
pub use probe::{Capabilities, Ids, Mode, has_single_id, in_user_namespace, probe};
