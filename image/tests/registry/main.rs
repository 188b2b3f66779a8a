//! The registry client against Debian's `docker-registry`, and against servers that lie.
//!
//! - `peer`: the real registry, on a free port of loopback, with a configuration of its own.
//! - `server`: a small HTTP server whose answers a test decides; in front of the real registry it is a proxy that
//!   breaks things.
//! - `images`: stores with images in them.
//! - `bucket`: the other kind of place where caches travel, with a server of its own.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test, to panic is to fail; a skip has to be seen"
)]

mod auth;
mod bucket;
mod faults;
mod images;
#[path = "../../../tests/support/bucket.rs"]
mod moto;
mod peer;
mod server;
mod tls;
mod transfers;
