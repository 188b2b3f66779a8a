//! What the commands do, one file each.

mod age;
mod build;
mod dispatch;
mod filter;
mod find;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod load;
mod rmi;
mod run;
mod save;
mod tag;
mod version;

pub(crate) use dispatch::run;
