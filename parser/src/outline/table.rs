//! Both as text, in columns.

use std::fmt;

use super::{Outline, Targets};

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |target: &super::TargetItem| {
            let name = match (target.name.is_empty(), target.default) {
                (true, true) => "(default)".to_owned(),
                (false, true) => format!("{} (default)", target.name),
                _ => target.name.clone(),
            };
            vec![name, target.description.clone()]
        };
        table(f, &["TARGET", "DESCRIPTION"], &self.targets.iter().map(row).collect::<Vec<_>>())
    }
}

impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() || !self.description.is_empty() {
            let name = if self.name.is_empty() { "(default)" } else { &self.name };
            let mut head = vec![vec!["TARGET:".to_owned(), name.to_owned()]];
            if !self.description.is_empty() {
                head.push(vec!["DESCRIPTION:".to_owned(), self.description.clone()]);
            }
            rows(f, &head)?;
            writeln!(f)?;
        }
        let args: Vec<_> = self
            .args
            .iter()
            .map(|arg| vec![arg.name.clone(), arg.value.clone(), arg.description.clone()])
            .collect();
        section(f, &["BUILD ARG", "VALUE", "DESCRIPTION"], &args)?;
        for (title, items) in [("SECRET", &self.secrets), ("SSH", &self.ssh)] {
            let required = |required: bool| if required { "true" } else { "" }.to_owned();
            let items: Vec<_> =
                items.iter().map(|item| vec![item.name.clone(), required(item.required)]).collect();
            section(f, &[title, "REQUIRED"], &items)?;
        }
        let caches: Vec<_> = self.cache.iter().map(|cache| vec![cache.id.clone()]).collect();
        section(f, &["CACHE"], &caches)
    }
}

/// A table with an empty line below it, or nothing.
fn section(f: &mut fmt::Formatter<'_>, titles: &[&str], items: &[Vec<String>]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    table(f, titles, items)?;
    writeln!(f)
}

fn table(f: &mut fmt::Formatter<'_>, titles: &[&str], items: &[Vec<String>]) -> fmt::Result {
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    rows(f, &[&[titles], items].concat())
}

/// Three blanks between columns; the last one is not filled up.
fn rows(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            if column + 1 == row.len() {
                writeln!(f, "{cell}")?;
            } else {
                write!(f, "{cell:<0$}", widths[column] + 3)?;
            }
        }
    }
    Ok(())
}
