//! Expanding the words of an instruction, and telling of variables that nobody defined.

use super::options::PlanError;
use super::planner::{Planner, Site};
use super::state::{NOT_IN_ENVIRONMENT, State};
use crate::expand::Expander;
use crate::lint::Rule;
use crate::suggest::suggest;

/// Enough for a hundred mistyped names in a file of five hundred variables. A file of thousands of both gets no more
/// suggestions than that, because looking for them takes time in proportion to the product.
pub(super) const MOST_COMPARISONS: usize = 50_000;

impl Planner<'_> {
    fn expander<'s>(&'s self, state: &'s State, site: &Site<'_>) -> Expander<'s> {
        Expander::new(&state.variables, site.escape).within(&self.globals.budget)
    }

    /// Expands to words. Variables that nobody defined are not reported.
    pub(super) fn words(&self, state: &State, text: &str, site: &Site<'_>) -> Result<Vec<String>, PlanError> {
        Ok(self.expander(state, site).words(text)?.value)
    }

    /// Expands the body of a heredoc; here they are reported.
    pub(super) fn body(&mut self, state: &State, text: &str, site: &Site<'_>) -> Result<String, PlanError> {
        let expanded = Expander::heredoc(&state.variables).within(&self.globals.budget).word(text)?;
        self.report_undefined(state, &expanded.undefined, site);
        Ok(expanded.value)
    }

    /// Expands a word, and reports the variables in it that nobody defined.
    pub(super) fn expand(&mut self, state: &State, text: &str, site: &Site<'_>) -> Result<String, PlanError> {
        let expanded = self.expander(state, site).word(text)?;
        self.report_undefined(state, &expanded.undefined, site);
        Ok(expanded.value)
    }

    pub(super) fn report_undefined(&mut self, state: &State, names: &[String], site: &Site<'_>) {
        let globals = &self.globals;
        for name in names {
            if state.is_declared(name) || NOT_IN_ENVIRONMENT.contains(&name.as_str()) {
                continue;
            }
            let comparisons = &mut self.comparisons;
            self.lint.warn(Rule::UndefinedVar, site.lines, || {
                let message = format!("Usage of undefined variable '${name}'");
                let Some(left) = comparisons.checked_sub(globals.declared.len() + state.variables.len())
                else {
                    return message;
                };
                *comparisons = left;
                let known = globals.declared.iter().map(String::as_str).chain(state.variables.names());
                match suggest(name, known, true) {
                    Some(candidate) => format!("{message} (did you mean ${candidate}?)"),
                    None => message,
                }
            });
        }
    }
}
