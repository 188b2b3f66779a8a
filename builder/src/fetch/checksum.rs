//! `ADD --checksum` of a download.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};

use sha2::{Digest, Sha384, Sha512};

use super::memory::Memory;
use crate::copy::CopyError;

/// The digest that a download must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum {
    algorithm: Algorithm,
    /// In lower case.
    hex: String,
}

/// Those that image references know as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Checksum {
    /// `ALGORITHM:HEX`
    pub(super) fn parse(text: &str) -> Result<Self, CopyError> {
        let malformed = |text: &str| Err(CopyError::Download(text.to_owned()));
        let Some((algorithm, hex)) = text.split_once(':') else {
            return malformed("invalid checksum digest format");
        };
        let (algorithm, length) = match algorithm {
            "sha256" => (Algorithm::Sha256, 64),
            "sha384" => (Algorithm::Sha384, 96),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return malformed("unsupported digest algorithm"),
        };
        if hex.len() != length || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return malformed("invalid checksum digest format");
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }

    /// The digest of a body by the same algorithm. That by SHA-256 is known already.
    pub(super) fn of(&self, memory: &Memory, body: &File) -> Result<Self, CopyError> {
        let failed = |cause: io::Error| CopyError::Download(format!("failed to read the download: {cause}"));
        match self.algorithm {
            Algorithm::Sha256 => Self::parse(&memory.digest),
            Algorithm::Sha384 => self.with(digest::<Sha384>(body).map_err(failed)?),
            Algorithm::Sha512 => self.with(digest::<Sha512>(body).map_err(failed)?),
        }
    }

    fn with(&self, hex: String) -> Result<Self, CopyError> {
        Ok(Self { algorithm: self.algorithm, hex })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        };
        write!(f, "{algorithm}:{}", self.hex)
    }
}

fn digest<D: Digest>(mut body: &File) -> io::Result<String> {
    let mut hasher = D::new();
    let mut buffer = vec![0; 128 * 1024];
    body.rewind()?;
    loop {
        match body.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    body.rewind()?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed() {
        let text = |checksum: &str| Checksum::parse(checksum).unwrap_err().to_string();
        assert_eq!(text("abc"), "invalid checksum digest format");
        assert_eq!(text("sha256:12"), "invalid checksum digest format");
        assert_eq!(text(&format!("sha512:{}", "a".repeat(64))), "invalid checksum digest format");
        assert_eq!(text("md5:12"), "unsupported digest algorithm");
    }
}
