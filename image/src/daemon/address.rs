//! Where docker listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// An address of docker's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `unix:///path`.
    Unix(PathBuf),
    /// `tcp://host:port`, without TLS.
    Tcp(String),
}

/// Why a text is no address that we can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is not an address of docker that rbuild can use: unix:///PATH or tcp://HOST:PORT")]
pub struct AddressError {
    /// The text.
    pub address: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError { address: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        let host = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://")).ok_or_else(wrong)?;
        let host = host.trim_end_matches('/');
        let is_host = !host.is_empty() && host.parse::<ureq::http::uri::Authority>().is_ok();
        if is_host { Ok(Self::Tcp(host.to_owned())) } else { Err(wrong()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["unix:///run/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2375"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in
            ["", "/run/docker.sock", "unix://docker.sock", "ssh://host", "tcp://", "tcp://a b", "fd://"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
