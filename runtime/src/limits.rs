//! How many files this process may have open.
//!
//! The kernel's soft limit is low for the sake of programs that use `select`; a stack of many layers needs more. So
//! rbuild takes what it may have, and the programs that it starts get back what it was given: some of them close every
//! number up to the limit when they start.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit before it was raised; None for no limit.
static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Raises the soft limit to the hard one. Without effect where that is not allowed: the limit is enough for most.
pub fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    if BEFORE.set(now.current).is_ok() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    }
}

/// What the soft limit was before; None if it was not raised.
pub(crate) fn open_files_before() -> Option<u64> {
    BEFORE.get().copied().flatten()
}

/// Gives this process, which is about to become a program, a soft limit.
pub(crate) fn set_open_files(soft: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(soft, |maximum| soft.min(maximum)));
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
}
