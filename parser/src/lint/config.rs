//! `# check=`: which checks are wanted.

use std::collections::BTreeSet;

use super::rule::Rule;

/// A value of `# check=` that nobody understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse check options: invalid check option {}", crate::go::quote(.0))]
pub struct BadCheckOption(pub String);

/// The value of `# check=` or of the build argument `BUILDKIT_DOCKERFILE_CHECK`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckConfig {
    skip: Names,
    experimental: Names,
    /// Warnings make the build fail.
    pub error: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    some: BTreeSet<String>,
}

impl Names {
    fn parse(text: &str) -> Self {
        if text == "all" {
            return Self { all: true, some: BTreeSet::new() };
        }
        Self { all: false, some: text.split(',').map(|name| name.trim().to_owned()).collect() }
    }

    fn has(&self, rule: Rule) -> bool {
        self.all || self.some.contains(rule.name())
    }

    fn add(&mut self, other: Self) {
        self.all |= other.all;
        self.some.extend(other.some);
    }
}

impl CheckConfig {
    /// Parses `skip=A,B;experimental=all;error=true`, in any order.
    pub fn parse(text: &str) -> Result<Self, BadCheckOption> {
        let mut config = Self::default();
        if text.is_empty() {
            return Ok(config);
        }
        let parts: Vec<&str> = text.splitn(3, ';').collect();
        for part in parts {
            let bad = || BadCheckOption(part.to_owned());
            let (key, value) = part.split_once('=').ok_or_else(bad)?;
            match key.trim() {
                "skip" => config.skip = Names::parse(value.trim()),
                "experimental" => config.experimental = Names::parse(value.trim()),
                "error" => config.error = crate::go::parse_bool(value.trim()).ok_or_else(bad)?,
                _ => return Err(bad()),
            }
        }
        Ok(config)
    }

    /// What an instruction below these comments wants: its own wishes and those of the file.
    pub(crate) fn merged<'c>(
        &self,
        comments: impl Iterator<Item = &'c str>,
    ) -> Result<Option<Self>, BadCheckOption> {
        let mut merged: Option<Self> = None;
        for comment in comments {
            let Some(value) = check_value(comment) else { continue };
            let own = Self::parse(value)?;
            let config = merged.get_or_insert_with(|| self.clone());
            config.skip.add(own.skip);
            config.experimental.add(own.experimental);
        }
        Ok(merged)
    }

    /// Whether a check is wanted.
    pub fn wants(&self, rule: Rule) -> bool {
        if rule.is_experimental() { self.experimental.has(rule) } else { !self.skip.has(rule) }
    }
}

/// The value of a comment `check=...`, up to its first space.
fn check_value(comment: &str) -> Option<&str> {
    let (key, value) = comment.split_once('=')?;
    key.trim().eq_ignore_ascii_case("check").then(|| value.split_whitespace().next().unwrap_or(""))
}
