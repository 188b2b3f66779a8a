//! `builder.gc` of `config.json`: the part of docker's `daemon.json` that is about the build cache, in docker's words.

use std::time::Duration;

use rbuild_builder::room::{Budget, Kind, Rule, Space};
use serde::Deserialize;

use crate::exit::Failure;

/// Kinds that BuildKit's cache has, and ours has not.
const FOREIGN_KINDS: [&str; 2] = ["source.local", "frontend"];

/// When the cache is made smaller without being asked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Collection {
    enabled: Option<bool>,
    #[serde(alias = "defaultKeepStorage")]
    default_reserved_space: Option<String>,
    default_max_used_space: Option<String>,
    default_min_free_space: Option<String>,
    #[serde(default)]
    policy: Vec<Policy>,
}

/// One rule of several.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Policy {
    /// Docker's word for taking what is internal to BuildKit, too. Here is nothing of that sort.
    #[serde(default, rename = "all")]
    _all: bool,
    #[serde(alias = "keepStorage")]
    reserved_space: Option<String>,
    max_used_space: Option<String>,
    min_free_space: Option<String>,
    #[serde(default)]
    filter: Filters,
}

/// A list of `KEY=VALUE`, or what docker makes of it when it writes one: `{KEY: {VALUE: true}}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Filters {
    List(Vec<String>),
    Map(std::collections::BTreeMap<String, std::collections::BTreeMap<String, bool>>),
}

impl Default for Filters {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Collection {
    /// The rules, in the order in which they are followed; none if nothing is to be removed. Rules of one's own take the
    /// place of all defaults; else who gives one limit gives all.
    ///
    /// # Errors
    /// A limit is no size, or a filter is none.
    pub(super) fn rules(&self) -> Result<Vec<Rule>, Failure> {
        let wrong = |why: String| Failure::new(format!("builder.gc in config.json: {why}"));
        if self.enabled == Some(false) {
            return Ok(Vec::new());
        }
        let (reserved, max_used) = (&self.default_reserved_space, &self.default_max_used_space);
        let budget = budget(reserved, max_used, &self.default_min_free_space).map_err(wrong)?;
        if self.policy.is_empty() {
            return Ok(vec![Rule::within(budget.unwrap_or(Budget::DEFAULT))]);
        }
        let rules = self.policy.iter().map(|policy| policy.rule().map_err(wrong));
        Ok(rules.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}

impl Policy {
    /// None if it is about what there is not.
    fn rule(&self) -> Result<Option<Rule>, String> {
        let budget = budget(&self.reserved_space, &self.max_used_space, &self.min_free_space)?;
        let mut rule = Rule { kinds: Vec::new(), unused_for: None, budget };
        let mut is_foreign = false;
        for text in self.filter.texts() {
            // BuildKit's own filters have `==`, and commas between alternatives.
            for text in text.split(',') {
                let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no filter"))?;
                let value = value.strip_prefix('=').unwrap_or(value);
                match key {
                    "unused-for" | "until" => {
                        let seconds = super::seconds(value).and_then(|it| u64::try_from(it).ok());
                        let seconds = seconds.ok_or_else(|| format!("{text:?}: no time span, as 48h"))?;
                        rule.unused_for = Some(Duration::from_secs(seconds));
                    }
                    "type" if FOREIGN_KINDS.contains(&value) => is_foreign = true,
                    "type" => rule.kinds.push(value.parse::<Kind>()?),
                    _ => return Err(format!("the filter {text:?} is neither unused-for= nor type=")),
                }
            }
        }
        Ok((!is_foreign || !rule.kinds.is_empty()).then_some(rule))
    }
}

impl Filters {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::List(texts) => texts.clone(),
            Self::Map(map) => map
                .iter()
                .flat_map(|(key, values)| values.keys().map(move |value| format!("{key}={value}")))
                .collect(),
        }
    }
}

/// None if nothing is said.
fn budget(
    reserved: &Option<String>,
    max_used: &Option<String>,
    min_free: &Option<String>,
) -> Result<Option<Budget>, String> {
    let limit = |text: &Option<String>| text.as_ref().map(|text| text.parse::<Space>()).transpose();
    let budget =
        Budget { reserved: limit(reserved)?, max_used: limit(max_used)?, min_free: limit(min_free)? };
    Ok((budget != Budget { reserved: None, max_used: None, min_free: None }).then_some(budget))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<Vec<Rule>, String> {
        let collection: Collection = serde_json::from_str(text).map_err(|error| error.to_string())?;
        collection.rules().map_err(|failure| failure.message.unwrap_or_default())
    }

    #[test]
    fn limits() {
        let kept = |reserved| Budget { reserved: Some(reserved), max_used: None, min_free: None };
        for (text, want) in [
            ("{}", vec![Rule::within(Budget::DEFAULT)]),
            (r#"{"enabled": true}"#, vec![Rule::within(Budget::DEFAULT)]),
            (r#"{"enabled": false}"#, vec![]),
            (r#"{"defaultKeepStorage": "1GB"}"#, vec![Rule::within(kept(Space::Bytes(1 << 30)))]),
        ] {
            assert_eq!(rules(text), Ok(want), "{text}");
        }
        assert!(rules(r#"{"defaultMaxUsedSpace": "much"}"#).is_err());
    }

    #[test]
    fn policies() {
        let max = |bytes| Budget { reserved: None, max_used: Some(Space::Bytes(bytes)), min_free: None };
        let text = r#"{"defaultKeepStorage": "1GB", "policy": [
            {"filter": ["unused-for=48h", "type==source.local,type==exec.cachemount"], "maxUsedSpace": "1MB"},
            {"filter": ["type=source.local"]},
            {"filter": {"unused-for": {"1h": true}}},
            {"all": true, "maxUsedSpace": "2MB"}]}"#;
        let hours = |count: u64| Some(Duration::from_secs(count * 3600));
        let want = vec![
            Rule { kinds: vec![Kind::CacheMount], unused_for: hours(48), budget: Some(max(1 << 20)) },
            Rule { kinds: vec![], unused_for: hours(1), budget: None },
            Rule::within(max(2 << 20)),
        ];
        assert_eq!(rules(text), Ok(want));
        for (text, says) in [
            (r#"{"policy": [{"filter": ["unused-for=long"]}]}"#, "no time span"),
            (r#"{"policy": [{"filter": ["type=x"]}]}"#, "there is no type \"x\""),
            (r#"{"policy": [{"filter": ["label=x"]}]}"#, "neither unused-for="),
            (r#"{"policy": [{"keepBytes": "1"}]}"#, "unknown field `keepBytes`"),
        ] {
            let message = rules(text).expect_err(text);
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
