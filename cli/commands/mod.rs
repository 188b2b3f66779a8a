//! What the commands do, one file each.

mod age;
mod build;
mod cache;
mod caches;
mod df;
mod diff;
mod dispatch;
mod explain;
mod filter;
mod find;
mod fsck;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod load;
mod login;
mod logs;
mod manifest;
mod obtain;
mod partial;
mod past;
mod prune;
mod pull;
mod push;
mod rmi;
mod run;
mod save;
mod search;
mod secret_input;
mod shell;
mod tag;
mod version;

pub(crate) use dispatch::run;
