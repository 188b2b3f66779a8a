//! Digests, and one type for each thing that is named by a digest.
//!
//! SHA-256 is what the field agrees on (image IDs, DiffIDs, blobs); BLAKE3 is what the store uses among itself.
//! A digest says nothing about *what* was hashed, and confusing the digest of a compressed blob with that of the
//! tar inside is the classic mistake of this field. So every use has its own type, and none converts into another
//! without naming it.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A SHA-256 digest, written `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:` in front.
    #[error("invalid digest {0:?}: no algorithm")]
    NoAlgorithm(String),
    /// An algorithm other than sha256.
    #[error("unsupported digest algorithm {0:?}: only sha256 is supported")]
    Algorithm(String),
    /// Not 64 characters.
    #[error("invalid digest {0:?}: expected 64 hexadecimal digits")]
    Length(String),
    /// A character that is not a lower-case hexadecimal digit.
    #[error("invalid digest {0:?}: not lower-case hexadecimal")]
    Character(String),
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The 64 hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        to_hex(&self.0)
    }

    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When `hex` is anything else.
    pub fn from_hex(hex: &str) -> Result<Self, DigestError> {
        from_hex(hex).map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) =
            text.split_once(':').ok_or_else(|| DigestError::NoAlgorithm(text.to_owned()))?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm(algorithm.to_owned()));
        }
        Self::from_hex(hex)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

macro_rules! sha256_names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl $name {
            /// The 64 hexadecimal digits, without the algorithm.
            pub fn hex(&self) -> String {
                self.0.hex()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }
    )*};
}

sha256_names! {
    /// Names a layer by its uncompressed tar.
    DiffId;
    /// Names a blob by its bytes as they are stored or sent.
    BlobDigest;
    /// Names an image by the bytes of its config.
    ImageId;
    /// Names what the store keeps of an image for several platforms.
    IndexId;
    /// Names a manifest or an index by its bytes.
    ManifestDigest;
    /// Names a chain of layers: DiffIDs folded as the OCI image specification says.
    ChainId;
}

macro_rules! blake3_names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 64 hexadecimal digits.
            pub fn hex(&self) -> String {
                to_hex(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                from_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

blake3_names! {
    /// Names a layer inside the store: BLAKE3 over its canonical entries. Written as plain hexadecimal.
    LayerId;
    /// Names a cache record: BLAKE3 over everything the step depends on. Written as plain hexadecimal.
    RecordKey;
}

impl ChainId {
    /// Folds DiffIDs, lowest layer first: the first is itself, then `SHA256(chain + " " + next)`.
    /// `None` for a chain without layers.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        let (first, rest) = layers.split_first()?;
        Some(
            rest.iter()
                .fold(Self(first.0), |chain, layer| Self(Digest::of(format!("{chain} {layer}").as_bytes()))),
        )
    }
}

/// SHA-256 in progress.
///
/// With SHA instructions the `sha2` crate is fastest; without them it falls back to plain Rust, and ring's
/// assembly is about twice as fast. Which of the two is found out once a process.
#[derive(Clone)]
pub struct Hasher(Engine);

#[derive(Clone)]
enum Engine {
    Instructions(sha2::Sha256),
    Assembly(ring::digest::Context),
}

impl Hasher {
    /// Starts a digest.
    pub fn new() -> Self {
        Self::with_instructions(has_sha_instructions())
    }

    fn with_instructions(present: bool) -> Self {
        Self(if present {
            Engine::Instructions(sha2::Digest::new())
        } else {
            Engine::Assembly(ring::digest::Context::new(&ring::digest::SHA256))
        })
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Engine::Instructions(state) => sha2::Digest::update(state, bytes),
            Engine::Assembly(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        let mut out = [0; 32];
        match self.0 {
            Engine::Instructions(state) => out.copy_from_slice(&sha2::Digest::finalize(state)),
            Engine::Assembly(state) => out.copy_from_slice(state.finish().as_ref()),
        }
        Digest(out)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

fn has_sha_instructions() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    *PRESENT.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        let present = std::arch::is_x86_feature_detected!("sha");
        #[cfg(target_arch = "aarch64")]
        let present = std::arch::is_aarch64_feature_detected!("sha2");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let present = false;
        present
    })
}

/// Hashes and counts what is read through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> HashingReader<R> {
    /// Reads from `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new(), count: 0 }
    }

    /// How many bytes were read so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of what was read, and the number of bytes.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.count)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

/// Hashes and counts what is written through it.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    count: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new(), count: 0 }
    }

    /// The inner writer, the digest of what was written, and the number of bytes.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.count)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn to_hex(bytes: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(64);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

fn from_hex(text: &str) -> Result<[u8; 32], DigestError> {
    if text.len() != 64 {
        return Err(DigestError::Length(text.to_owned()));
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let (Some(high), Some(low)) = (hex_value(pair[0]), hex_value(pair[1])) else {
            return Err(DigestError::Character(text.to_owned()));
        };
        *byte = high << 4 | low;
    }
    Ok(out)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn both_engines_agree_on_known_digests() {
        for present in [true, false] {
            let mut hasher = Hasher::with_instructions(present);
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(
                hasher.finish().hex(),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            );
            assert_eq!(Hasher::with_instructions(present).finish().to_string(), EMPTY);
        }
    }

    #[test]
    fn text_and_digest_round_trip() {
        assert_eq!(EMPTY.parse::<DiffId>().unwrap().to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        let id = LayerId([0xa5; 32]);
        assert_eq!(id.to_string().parse::<LayerId>().unwrap(), id);
        assert_eq!(serde_json::to_string(&ImageId(Digest::of(b""))).unwrap(), format!("{EMPTY:?}"));
    }

    #[test]
    fn malformed_digests_are_refused() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for (text, expected) in [
            ("abc", "no algorithm"),
            ("sha512:abc", "unsupported digest algorithm"),
            ("sha256:abc", "expected 64"),
            (upper.as_str(), "lower-case"),
        ] {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_chain_folds_its_layers() {
        let a = DiffId(Digest::of(b"a"));
        let b = DiffId(Digest::of(b"b"));
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(ChainId::of(&[a]), Some(ChainId(a.0)));
        assert_eq!(ChainId::of(&[a, b]), Some(ChainId(Digest::of(format!("{a} {b}").as_bytes()))));
    }

    #[test]
    fn readers_and_writers_hash_what_passes() {
        let mut reader = HashingReader::new(&b"abc"[..]);
        let mut writer = HashingWriter::new(Vec::new());
        io::copy(&mut reader, &mut writer).unwrap();
        assert_eq!(reader.count(), 3);
        assert_eq!(reader.finish(), (Digest::of(b"abc"), 3));
        assert_eq!(writer.finish(), (b"abc".to_vec(), Digest::of(b"abc"), 3));
    }
}
