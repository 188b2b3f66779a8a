//! Docker on this machine: images that are handed to it over its API.
//!
//! Docker knows a layer by everything that lies below it. `docker load` does not open the file of a layer that it has
//! already on the same layers (moby, `image/tarexport/load.go`), so an archive may leave those out: what is sent is
//! what is new. Docker with containerd's image store, and podman, want whole archives; they get one.
//!
//! - `address`: where docker listens, as `DOCKER_HOST` says it.
//! - `client`: the few calls of the API that are needed.
//! - `unix`: HTTP over a socket of this machine.

mod address;
mod client;
#[cfg(test)]
mod tests;
mod unix;

pub use address::{Address, AddressError};
pub use client::{Daemon, DaemonError, Handed};
