//! What comes over the network: files by HTTP, and git repositories.
//!
//! - [`Remote`]: both, behind the interface that ADD knows;
//! - `http`: a conditional GET; `memory`: what earlier ones brought;
//! - [`git`]: repositories, by the `git` program;
//! - `address`: file names of URLs.
//!
//! Proxies come as arguments; git looks for those of its own settings and the environment itself.

mod address;
mod checksum;
pub mod git;
mod http;
mod memory;
mod remote;

pub use http::Http;
pub use remote::Remote;
