//! Downloads for ADD: one GET, checked, into a file without a name.
//!
//! - `http`: the request and what of the answer counts;
//! - `date`: the `Last-Modified` header, which becomes the file's time.

mod date;
mod http;

pub use http::Http;
