//! Container images at rest and in transit.
//!
//! This crate knows what an image is made of and where it is kept; it does not know how one is built or run.
//!
//! - [`digest`]: the names of things by their content, one type for each kind of thing.
//! - [`mod@reference`], [`platform`], [`time`]: the names that people give, what an image runs on, when it was made.
//! - [`layer`]: one step's changes as a directory and as a tar, and chains of them as one tree.
//! - [`store`]: where layers, images and records are kept.
//! - [`archive`]: images as tars and folders that docker, podman and skopeo exchange.
//! - [`registry`], [`daemon`]: images over the network, and to docker on this machine.
//! - [`place`]: where a cache travels: blobs by their digests, and one head.
//! - [`json`], [`config`], [`manifest`]: the documents of an image, byte for byte as docker and BuildKit write them.
//!
//! Two things hold everywhere. What arrives from outside (an archive, a config, a tar entry) is not trusted: it is
//! bounded, verified against the digests that name it, and confined. And bytes are kept as they came: an image that
//! was loaded keeps the ID that it had, because its config is never rewritten.

#![forbid(unsafe_code)]

pub mod archive;
pub mod config;
pub mod daemon;
pub mod digest;
pub mod http_date;
pub mod json;
pub mod layer;
pub mod manifest;
pub mod place;
pub mod platform;
pub mod reference;
pub mod registry;
pub mod store;
pub mod time;
