//! What the commands do, one file each.

mod dispatch;
mod info;
mod version;

pub(crate) use dispatch::run;
