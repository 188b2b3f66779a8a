//! Manifests and indexes as a registry gives them: bytes that are named by their digest, and what they mean.

use serde::Deserialize;

use super::error::RegistryError;
use crate::digest::{BlobDigest, Digest};
use crate::manifest::{Kind, RawManifest, media_type};

/// What we accept, best first.
pub(super) const MANIFEST_TYPES: [&str; 4] =
    [media_type::OCI_INDEX, media_type::DOCKER_LIST, media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST];

/// A document whose digest is known to be right.
#[derive(Debug)]
pub(super) struct Document {
    /// With the type that it says it has, else the one that the registry says.
    pub(super) raw: RawManifest,
    pub(super) kind: Kind,
}

/// The members that tell a manifest from an index.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Verifies and reads `bytes`. `expected` is the digest that asked for them, or that the registry says they have.
    pub(super) fn new(
        what: &str,
        content_type: String,
        bytes: Vec<u8>,
        expected: Option<Digest>,
    ) -> Result<Self, RegistryError> {
        let digest = Digest::of(&bytes);
        if let Some(expected) = expected
            && expected != digest
        {
            let (expected, found) = (BlobDigest(expected), BlobDigest(digest));
            return Err(RegistryError::Corrupt { what: what.to_owned(), expected, found });
        }
        let wrong = |reason: String| RegistryError::document(what, reason);
        let shape: Shape = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if shape.schema_version != 2 {
            return Err(wrong(format!("schema version {} is not supported", shape.schema_version)));
        }
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        let said = if shape.media_type.is_empty() { content_type } else { &shape.media_type };
        let is_index = matches!(said, media_type::OCI_INDEX | media_type::DOCKER_LIST);
        // A document that is both can be read as two different images, depending on who reads it.
        if shape.config.is_some() == shape.manifests.is_some() || is_index != shape.manifests.is_some() {
            return Err(wrong(format!("this is no manifest of an image (its type is {said:?})")));
        }
        let kind = if is_index {
            serde_json::from_slice(&bytes).map(Kind::Index)
        } else {
            serde_json::from_slice(&bytes).map(Kind::Manifest)
        };
        let kind = kind.map_err(|error| wrong(error.to_string()))?;
        let raw = RawManifest::new(said, bytes);
        Ok(Self { raw, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#""config":{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

    fn read(content_type: &str, text: &str) -> Result<Document, RegistryError> {
        Document::new("m", content_type.to_owned(), text.as_bytes().to_vec(), None)
    }

    #[test]
    fn documents_are_told_apart() {
        let manifest = format!(r#"{{"schemaVersion":2,{CONFIG}}}"#);
        assert!(matches!(read(media_type::OCI_MANIFEST, &manifest).unwrap().kind, Kind::Manifest(_)));
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        let typed = format!("{}; charset=utf-8", media_type::OCI_INDEX);
        assert!(matches!(read(&typed, index).unwrap().kind, Kind::Index(_)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let both = format!(r#"{{"schemaVersion":2,"manifests":[],{CONFIG}}}"#);
        for content_type in [media_type::OCI_INDEX, media_type::OCI_MANIFEST, ""] {
            assert!(read(content_type, &both).is_err());
        }
        let manifest = format!(r#"{{"schemaVersion":2,{CONFIG}}}"#);
        assert!(read(media_type::OCI_INDEX, &manifest).is_err());
        assert!(read("", r#"{"schemaVersion":1}"#).is_err());
        assert!(read("", "<html>").is_err());
    }

    #[test]
    fn another_digest_than_promised_is_refused() {
        let wrong = Document::new("m", String::new(), b"{}".to_vec(), Some(Digest::of(b"x")));
        assert!(matches!(wrong, Err(RegistryError::Corrupt { .. })));
    }
}
