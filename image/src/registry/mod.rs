//! Registries: images over the network, by the distribution API.
//!
//! - [`Registry`] is what commands use: [`Registry::pull`], [`Registry::push`], [`Registry::resolve_or_pull`],
//!   [`Registry::search`], [`Registry::tags`], [`Registry::login`].
//! - [`Settings`] say everything that comes from flags, files and the environment. Nothing here reads the environment
//!   or prints; what happens is told to a [`Progress`].
//! - `endpoint` turns the domain of a name into hosts to ask (mirrors, Docker Hub's aliases, plain http), `tls` and
//!   `http` make connections to one, `auth` and [`DockerConfig`] say who asks, `client` has one function for each call
//!   of the API, `retry` says what is tried again, `transfer` moves images,
//!   and [`Place`] keeps other artifacts in a repository.
//!
//! Invariants:
//! - Nothing that a registry says is believed. Every document and blob is bounded, and compared with the size and the
//!   digest that asked for it, before anything counts as there; a layer's tar is compared with its DiffID as well.
//! - Credentials go to the host that they are for, and to the token server which that host names. A redirect to
//!   another host, and a mirror, get none. They travel over TLS, unless plain http was allowed for the host.
//! - Tried again is what may pass: 429, 5xx, connections that break. Everything else fails at once.
//! - Bytes that arrived are hashed once, on their way to the disk and to the unpacker, and a transfer that was cut
//!   goes on where it stopped.

mod auth;
mod client;
mod credentials;
mod documents;
mod endpoint;
mod error;
mod http;
mod impatient;
mod manifests;
mod place;
mod platforms;
mod progress;
mod resolve;
mod retry;
mod search;
mod settings;
mod tls;
mod transfer;
mod uri;

pub use client::Registry;
pub use credentials::{Credential, DockerConfig, Secret};
pub use error::RegistryError;
pub(crate) use http::{Http, Payload, Request, read_all, status_error};
pub use manifests::ImageManifest;
pub use place::Place;
pub use progress::{Event, LayerState, Progress, Silent};
pub use resolve::{Policy, Resolved};
pub(crate) use retry::Retry;
pub use search::SearchResult;
pub use settings::{Limits, Proxies, Settings, Timeouts};
pub use transfer::{
    Compression, Encoding, Found, Packed, PullOptions, Pulled, PushOptions, Pushed, keep_packed,
    manifest_for, pack,
};
