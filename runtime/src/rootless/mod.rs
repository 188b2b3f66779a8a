//! Root of a user namespace, for users who are not root.

mod probe;

pub use probe::in_user_namespace;
