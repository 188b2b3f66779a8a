//! `--format` of the commands that print a list.

use serde_json::Value;

use super::Template;
use super::table;
use super::template::TemplateError;

/// A column of a table: its header and the field that it shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// As printed in the first line.
    pub(crate) header: &'static str,
    /// Field of the row.
    pub(crate) field: &'static str,
}

/// How a list is to be printed.
#[derive(Debug)]
pub(crate) enum List {
    /// A header and aligned columns.
    Table(Vec<Cell>),
    /// One JSON object a line.
    Json,
    /// One evaluated template a line.
    Lines(Template),
}

/// A column of a table: what the header says and what makes the cells.
#[derive(Debug)]
pub(crate) struct Cell {
    header: String,
    template: Template,
}

impl List {
    /// What `--format` asks for: nothing or `table` is the table of `columns`, `table T` one of the fields in
    /// the template T, `json` one object a line, anything else a template. `known` are all columns that a
    /// `table T` may name.
    pub(crate) fn parse(
        format: Option<&str>,
        columns: &[Column],
        known: &[Column],
    ) -> Result<Self, TemplateError> {
        let format = format.unwrap_or("table").trim();
        match format.strip_prefix("table") {
            Some("") => Ok(Self::Table(columns.iter().map(Cell::of).collect::<Result<_, _>>()?)),
            Some(rest) if rest.starts_with([' ', '\t', '\\']) => {
                let template = unescape(rest.trim_start());
                template
                    .split('\t')
                    .map(|cell| Cell::parse(cell, known))
                    .collect::<Result<_, _>>()
                    .map(Self::Table)
            }
            _ if format == "json" || format == "{{json .}}" => Ok(Self::Json),
            _ => Ok(Self::Lines(Template::parse(&unescape(format))?)),
        }
    }

    /// The rows as text, every line ended.
    pub(crate) fn render(&self, rows: &[Value]) -> Result<String, TemplateError> {
        let mut out = String::new();
        match self {
            Self::Json => {
                for row in rows {
                    out.push_str(&row.to_string());
                    out.push('\n');
                }
            }
            Self::Lines(template) => {
                for row in rows {
                    out.push_str(&template.render(row)?);
                    out.push('\n');
                }
            }
            Self::Table(cells) => {
                let mut lines = vec![cells.iter().map(|c| c.header.clone()).collect()];
                for row in rows {
                    lines.push(cells.iter().map(|c| c.template.render(row)).collect::<Result<_, _>>()?);
                }
                out = table::layout(&lines);
            }
        }
        Ok(out)
    }
}

impl Cell {
    fn of(column: &Column) -> Result<Self, TemplateError> {
        let template = Template::parse(&format!("{{{{.{}}}}}", column.field))?;
        Ok(Self { header: column.header.to_owned(), template })
    }

    fn parse(text: &str, known: &[Column]) -> Result<Self, TemplateError> {
        let template = Template::parse(text)?;
        let header = template.fields().iter().map(|f| header_of(f, known)).collect::<Vec<_>>().join(" ");
        Ok(Self { header, template })
    }
}

fn header_of(field: &str, known: &[Column]) -> String {
    known.iter().find(|c| c.field == field).map_or_else(|| field.to_uppercase(), |c| c.header.to_owned())
}

/// `\t` and `\n` as shells hand them over in single quotes.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 2] =
        [Column { header: "REPOSITORY", field: "Repository" }, Column { header: "IMAGE ID", field: "ID" }];

    fn shown(format: Option<&str>) -> String {
        let rows = [json!({"Repository": "busybox", "ID": "0123"}), json!({"Repository": "a", "ID": "4567"})];
        List::parse(format, &COLUMNS, &COLUMNS).and_then(|l| l.render(&rows)).expect("a good format")
    }

    #[test]
    fn forms() {
        let table = "REPOSITORY   IMAGE ID\nbusybox      0123\na            4567\n";
        for (format, want) in [
            (None, table),
            (Some("table"), table),
            (
                Some("table {{.ID}}\\t{{.Repository}}"),
                "IMAGE ID   REPOSITORY\n0123       busybox\n4567       a\n",
            ),
            (
                Some("json"),
                "{\"ID\":\"0123\",\"Repository\":\"busybox\"}\n{\"ID\":\"4567\",\"Repository\":\"a\"}\n",
            ),
            (Some("{{.Repository}}:{{.ID}}"), "busybox:0123\na:4567\n"),
        ] {
            assert_eq!(shown(format), want, "{format:?}");
        }
        assert!(List::parse(Some("{{.ID"), &COLUMNS, &COLUMNS).is_err());
    }
}
