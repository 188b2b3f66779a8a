//! The image config: what an image is apart from its layers. The SHA-256 of its bytes is the image ID.
//!
//! Written byte for byte as BuildKit writes it (spec 8.5): members in the order of the fields below, unknown
//! members of a base image dropped. Read tolerantly: docker, podman, BuildKit and old docker differ in what they
//! leave out, write as `null` or add.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::{DiffId, Digest, ImageId};
use crate::json::to_vec_go;
use crate::platform::Platform;
use crate::time::Timestamp;

/// The config of an image. The fields stand in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// CPU architecture (GOARCH).
    #[serde(default, deserialize_with = "null_as_default")]
    pub architecture: String,
    /// Who made the image (MAINTAINER).
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// How containers start.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: ContainerConfig,
    /// When the image was made; `null` when no history entry has a time (spec 8.4).
    #[serde(default, deserialize_with = "empty_as_none")]
    pub created: Option<Timestamp>,
    /// One entry an instruction, oldest first; written as `null` when there are none.
    #[serde(default, deserialize_with = "null_as_default", serialize_with = "empty_as_null")]
    pub history: Vec<History>,
    /// Operating system (GOOS).
    #[serde(default, deserialize_with = "null_as_default")]
    pub os: String,
    /// Features of the operating system; Windows only.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Version of the operating system; Windows only.
    #[serde(
        rename = "os.version",
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// The layers.
    pub rootfs: RootFs,
    /// Variant of the architecture.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// How a container of an image starts: the `config` member. Empty values are not written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// `user[:group]`, names or numbers.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `port/protocol`.
    #[serde(with = "set", skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`, in order.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Default arguments, or the program where there is no entrypoint.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Paths that become volumes.
    #[serde(with = "set", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Where the program starts; empty means `/`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops the container, a name or a number.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Set by BuildKit when the last CMD or ENTRYPOINT was in exec form.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// How the container's health is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for builds on this image.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// The shell of the shell form.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// A health check. Durations are nanoseconds; 0 means "as inherited" and is not written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", program, …]` or `["CMD-SHELL", command]`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time after which a check has failed.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time during which failures do not count.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between two checks during the start period.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make the container unhealthy.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// One line of an image's history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When.
    #[serde(default, deserialize_with = "empty_as_none", skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The instruction (spec 3.0).
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// With what.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The instruction made no layer.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: LayersKind,
    /// Lowest first; written as `null` when there are none.
    #[serde(default, deserialize_with = "null_as_default", serialize_with = "empty_as_null")]
    pub diff_ids: Vec<DiffId>,
}

/// The one type of root file system that there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayersKind {
    /// A list of layers.
    #[default]
    Layers,
}

/// Bytes that are not an image config.
#[derive(Debug, thiserror::Error)]
#[error("parse image config: {0}")]
pub struct ConfigError(#[from] serde_json::Error);

impl ImageConfig {
    /// Reads a config written by any builder. Members that rbuild does not know are left out.
    ///
    /// # Errors
    /// When `bytes` is not JSON, has no `rootfs`, or a known member has the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The config as BuildKit would write it: the same value gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_vec_go(self)
    }

    /// The image ID that [`Self::to_bytes`] has. An image that was read has the ID of the bytes that it came with.
    pub fn id(&self) -> ImageId {
        ImageId(Digest::of(&self.to_bytes()))
    }

    /// What the image runs on, as the config says it (not normalised).
    pub fn platform(&self) -> Platform {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: some(&self.os_version),
            os_features: Vec::new(),
            variant: some(&self.variant),
        }
    }

    /// Says that the image runs on `platform`.
    pub fn set_platform(&mut self, platform: &Platform) {
        self.architecture.clone_from(&platform.architecture);
        self.os.clone_from(&platform.os);
        self.os_version = platform.os_version.clone().unwrap_or_default();
        self.variant = platform.variant.clone().unwrap_or_default();
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Go's encoder writes a nil slice as `null`, and its decoder takes `null` for anything.
fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Some builders write `""` where there is no time.
fn empty_as_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    match Option::<String>::deserialize(from)? {
        Some(text) if !text.is_empty() => text.parse().map(Some).map_err(de::Error::custom),
        _ => Ok(None),
    }
}

fn empty_as_null<S: Serializer, T: Serialize>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    if items.is_empty() { serializer.serialize_none() } else { serializer.collect_seq(items) }
}

/// Images of before docker 1.8 have a string where later ones have a list.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<Words>::deserialize(from)? {
        None => Vec::new(),
        Some(Words::One(word)) => vec![word],
        Some(Words::Many(words)) => words,
    })
}

/// Go's way to write a set: a map whose values are all `{}`.
mod set {
    use super::*;

    pub(super) fn serialize<S: Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(set.len()))?;
        for key in set {
            map.serialize_entry(key, &Empty {})?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
        struct Keys;

        impl<'de> de::Visitor<'de> for Keys {
            type Value = BTreeSet<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map whose keys are the set")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(BTreeSet::new())
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = BTreeSet::new();
                while let Some((key, de::IgnoredAny)) = map.next_entry()? {
                    keys.insert(key);
                }
                Ok(keys)
            }
        }

        from.deserialize_any(Keys)
    }

    #[derive(Serialize)]
    struct Empty {}
}

#[cfg(test)]
mod tests;
