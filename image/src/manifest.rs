//! Manifests, indexes and the descriptors that they are made of (OCI image specification, docker schema 2).

mod raw;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::BlobDigest;
use crate::platform::Platform;

pub use raw::{Kind, RawManifest};

/// Media types, OCI's and docker's.
pub mod media_type {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, not compressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker schema 2 manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker schema 2 manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
}

/// Annotations that name images in an index.
pub mod annotation {
    /// The whole name; containerd and `docker load` read it.
    pub const IMAGE_NAME: &str = "io.containerd.image.name";
    /// The tag.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// Marks manifests that are no images, such as attestations.
    pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
}

/// Points to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: BlobDigest,
    /// Its size in bytes.
    pub size: u64,
    /// Anything else, by key.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// A descriptor without annotations and platform.
    pub fn new(media_type: &str, digest: BlobDigest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, annotations: BTreeMap::new(), platform: None }
    }

    /// Whether the blob is an index.
    pub fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), media_type::OCI_INDEX | media_type::DOCKER_LIST)
    }

    /// Whether the blob is the manifest of an image, and not of an attestation.
    pub fn is_image_manifest(&self) -> bool {
        matches!(self.media_type.as_str(), media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST)
            && !self.annotations.contains_key(annotation::REFERENCE_TYPE)
    }
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::OCI_MANIFEST`] or [`media_type::DOCKER_MANIFEST`]; may be left out in OCI manifests.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The image config.
    pub config: Descriptor,
    /// Lowest layer first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub layers: Vec<Descriptor>,
    /// Anything else, by key.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests: platforms of one image, or the images of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::OCI_INDEX`] or [`media_type::DOCKER_LIST`]; may be left out in OCI indexes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The manifests.
    #[serde(default, deserialize_with = "null_as_default")]
    pub manifests: Vec<Descriptor>,
    /// Anything else, by key.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::json::to_vec_go;

    #[test]
    fn a_manifest_is_written_in_the_order_of_the_specification() {
        let digest = BlobDigest(Digest::of(b""));
        let manifest = Manifest {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST.into(),
            config: Descriptor::new(media_type::OCI_CONFIG, digest, 3),
            layers: vec![Descriptor::new(media_type::OCI_LAYER, digest, 4)],
            annotations: BTreeMap::new(),
        };
        let expected = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":3}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":4}}]}}"#
        );
        assert_eq!(String::from_utf8(to_vec_go(&manifest)).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Manifest>(&expected).unwrap(), manifest);
    }

    #[test]
    fn attestations_are_no_images() {
        let text = r#"{"schemaVersion":2,"manifests":[
            {"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,
             "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
             "annotations":{"vnd.docker.reference.type":"attestation-manifest"},
             "platform":{"architecture":"unknown","os":"unknown"}}]}"#;
        let index: Index = serde_json::from_str(text).unwrap();
        assert!(!index.manifests[0].is_image_manifest());
        assert!(!index.manifests[0].is_index());
    }
}
