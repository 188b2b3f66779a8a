//! Columns, aligned as docker aligns them.

/// Narrowest column (docker's tabwriter settings).
const MIN_WIDTH: usize = 10;
/// Blanks between two columns.
const PADDING: usize = 3;

/// Lays rows out in columns; the first row is the header. Cells are not wrapped and the last one is not padded.
pub(crate) fn layout(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|cell| width(cell) + PADDING).max().unwrap_or(0))
        .map(|w| w.max(MIN_WIDTH))
        .collect();
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[column] - width(cell)));
            }
        }
        out.push('\n');
    }
    out
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["REPOSITORY", "TAG", "SIZE"], ["é", "a-long-tag-name", "1B"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|r| r.iter().map(|c| (*c).to_owned()).collect()).collect();
        assert_eq!(
            layout(&rows),
            "REPOSITORY   TAG               SIZE\n\
             é            a-long-tag-name   1B\n"
        );
    }
}
