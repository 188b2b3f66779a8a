//! What the commands do, one file each.

mod dispatch;
mod version;

pub(crate) use dispatch::run;
