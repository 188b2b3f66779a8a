//! Collecting warnings.

use std::collections::BTreeSet;

use serde::Serialize;

use super::config::{BadCheckOption, CheckConfig};
use super::rule::Rule;
use crate::source::{LineRange, Spanned, Text};

/// Something that can be built but should be written differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The check that found it.
    pub rule: Rule,
    /// What it found, in BuildKit's words.
    pub message: String,
    /// Where.
    pub lines: LineRange,
}

/// Collects the warnings of one run.
#[derive(Debug, Default)]
pub(crate) struct Linter {
    config: CheckConfig,
    /// The wishes of the instruction that is being looked at, if it has its own.
    local: Option<CheckConfig>,
    warnings: Vec<Warning>,
    silent: bool,
}

impl Linter {
    pub(crate) fn new(config: CheckConfig) -> Self {
        Self { config, local: None, warnings: Vec::new(), silent: false }
    }

    /// From here on, warnings are about an instruction with these comments above it.
    pub(crate) fn enter(&mut self, comments: &[Spanned<Text>]) -> Result<(), BadCheckOption> {
        self.local = if comments.is_empty() {
            None
        } else {
            self.config.merged(comments.iter().map(Spanned::as_str))?
        };
        Ok(())
    }

    pub(crate) fn wants(&self, rule: Rule) -> bool {
        self.local.as_ref().unwrap_or(&self.config).wants(rule)
    }

    pub(crate) fn warn(&mut self, rule: Rule, lines: LineRange, message: impl FnOnce() -> String) {
        if self.wants(rule) && !self.silent {
            self.warnings.push(Warning { rule, message: message(), lines });
        }
    }

    /// What comes after an error is not checked (spec 9.4).
    pub(crate) fn silence(&mut self) {
        self.silent = true;
    }

    /// The error that `error=true` makes of the warnings, if there are any.
    pub(crate) fn violation(&self) -> Option<String> {
        if !self.config.error || self.warnings.is_empty() {
            return None;
        }
        let rules: BTreeSet<&str> = self.warnings.iter().map(|warning| warning.rule.name()).collect();
        let rules: Vec<&str> = rules.into_iter().collect();
        Some(format!("lint violation found for rules: {}", rules.join(", ")))
    }

    /// The warnings in file order.
    pub(crate) fn finish(mut self) -> Vec<Warning> {
        self.warnings.sort_by_key(|warning| (warning.lines.first, warning.rule.name()));
        self.warnings
    }
}
