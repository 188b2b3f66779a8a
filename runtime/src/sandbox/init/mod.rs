//! The child's half: process 1 of a sandbox, from rbuild's exec to the program's.
//!
//! - `standard`: what is made before there is an order.
//! - `world`: mounts, by way of `mount`, `overlay`, `place` (mount points), `devices` and `protect`.
//! - `terminal`: the program's pty.
//! - `identity`: user, groups, capabilities, system call filter.
//! - `early`: the program's process, before there is an order.
//! - `program`: finding and executing the program.
//! - `reaper`: process 1 when that is not the program.
//!
//! The process has one thread. Until the program starts it is alone in its namespaces, but for the program's process.

mod devices;
mod early;
mod entry;
mod identity;
mod mount;
mod overlay;
mod place;
mod program;
mod protect;
mod reaper;
mod standard;
mod terminal;
mod world;

pub use entry::dispatch;
