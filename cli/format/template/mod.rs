//! The part of Go's text/template that `--format` is used with.
//!
//! `{{.Field.Path}}`, `{{json .}}`, `{{index .List 0}}`, `{{len .}}`, `{{join .List ","}}`, `{{upper .}}`,
//! `{{lower .}}`, `{{title .}}`, `{{println .}}`, `{{print .}}`, `{{eq .A "x"}}`, `{{range .}}…{{else}}…{{end}}`,
//! `{{range $key, $value := .}}`, `{{if .}}…{{else}}…{{end}}`, pipelines, parentheses and `{{-`/`-}}`.
//! Everything else is an error that names it.

mod eval;
mod parse;

use serde_json::Value;

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template(Vec<Node>);

/// A template that cannot be parsed, or does not fit the data.
#[derive(Debug)]
pub(crate) struct TemplateError(String);

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "template parsing error: {}", self.0)
    }
}

impl std::error::Error for TemplateError {}

/// A piece of a template.
#[derive(Debug)]
enum Node {
    Text(String),
    Print(Pipeline),
    Range { names: Vec<String>, over: Pipeline, body: Vec<Self>, otherwise: Vec<Self> },
    If { condition: Pipeline, body: Vec<Self>, otherwise: Vec<Self> },
}

/// Commands; the result of each is the last argument of the next.
type Pipeline = Vec<Vec<Operand>>;

/// A word inside `{{ }}`.
#[derive(Debug, Clone)]
enum Operand {
    /// `.A.B`; empty is the dot itself.
    Field(Vec<String>),
    /// `$name.A.B`; an empty name is the root.
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    Nested(Pipeline),
}

impl Template {
    /// Parses; unknown functions are found here as well.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        parse::template(text).map(Self).map_err(TemplateError)
    }

    /// The text for `data`.
    pub(crate) fn render(&self, data: &Value) -> Result<String, TemplateError> {
        eval::template(&self.0, data).map_err(TemplateError)
    }

    /// The fields that it prints at its top level.
    pub(crate) fn fields(&self) -> Vec<String> {
        let operands = self.0.iter().filter_map(|node| match node {
            Node::Print(pipeline) => Some(pipeline.iter().flatten()),
            _ => None,
        });
        operands
            .flatten()
            .filter_map(|operand| match operand {
                Operand::Field(path) if !path.is_empty() => Some(path.join(".")),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
