//! The stages of a file.

use serde::Serialize;

use super::{Location, description};
use crate::instruction::Dockerfile;

/// `--call targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Targets {
    /// The stages in file order.
    pub targets: Vec<TargetItem>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetItem {
    /// Its name in lower case; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whether it is built when no target is given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// What the comment above it says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What FROM names, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub base: String,
    /// `--platform`, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub platform: String,
    /// Its FROM.
    pub location: Location,
}

/// Lists the stages.
#[must_use]
pub fn targets(file: &Dockerfile) -> Targets {
    let last = file.stages.len().saturating_sub(1);
    let item = |(index, stage): (usize, &crate::instruction::Stage)| {
        let from = &stage.from.kind;
        let name = from.name.as_ref().map(|name| name.lower.to_string()).unwrap_or_default();
        TargetItem {
            description: description(&stage.from.comments, &name),
            name,
            default: index == last,
            base: from.image.value.to_string(),
            platform: from.platform.as_ref().map(|platform| platform.value.to_string()).unwrap_or_default(),
            location: stage.from.lines.into(),
        }
    };
    Targets { targets: file.stages.iter().enumerate().map(item).collect() }
}
