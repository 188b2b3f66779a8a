//! One line of comma-separated values, as in `--mount=type=cache,"target=/a,b"`.

use crate::diagnostic::Diagnostic;

/// Splits into fields. The errors are those of Go's `encoding/csv`.
pub(crate) fn fields(line: &str) -> Result<Vec<String>, Diagnostic> {
    if line.is_empty() {
        return Err(Diagnostic::new("EOF"));
    }
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let (field, length) = if rest.starts_with('"') { quoted(rest, at)? } else { plain(rest, at)? };
        fields.push(field);
        at += length;
        if at == line.len() {
            return Ok(fields);
        }
        at += 1;
    }
}

fn error(offset: usize, what: &str) -> Diagnostic {
    Diagnostic::new(format!("parse error on line 1, column {}: {what}", offset + 1))
}

fn plain(rest: &str, at: usize) -> Result<(String, usize), Diagnostic> {
    let end = rest.find(',').unwrap_or(rest.len());
    match rest[..end].find('"') {
        Some(quote) => Err(error(at + quote, "bare \" in non-quoted-field")),
        None => Ok((rest[..end].to_owned(), end)),
    }
}

fn quoted(rest: &str, at: usize) -> Result<(String, usize), Diagnostic> {
    let wrong = |offset| error(at + offset, "extraneous or missing \" in quoted-field");
    let mut field = String::new();
    let mut from = 1;
    loop {
        let Some(length) = rest[from..].find('"') else { return Err(wrong(from)) };
        let quote = from + length;
        field.push_str(&rest[from..quote]);
        match rest.as_bytes().get(quote + 1) {
            Some(b'"') => field.push('"'),
            None | Some(b',') => return Ok((field, quote + 1)),
            Some(_) => return Err(wrong(quote)),
        }
        from = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn splits() {
        for (line, expected) in [
            ("a", vec!["a"]),
            ("a,b=c", vec!["a", "b=c"]),
            ("a,", vec!["a", ""]),
            (r#""a,b",c"#, vec!["a,b", "c"]),
            (r#""a""b""#, vec![r#"a"b"#]),
            (r#""""#, vec![""]),
        ] {
            assert_eq!(fields(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn refuses_like_go() {
        for (line, message) in [
            ("", "EOF"),
            (r#"a,b"c"#, r#"parse error on line 1, column 4: bare " in non-quoted-field"#),
            (r#""a"#, r#"parse error on line 1, column 2: extraneous or missing " in quoted-field"#),
            (r#""a"b"#, r#"parse error on line 1, column 3: extraneous or missing " in quoted-field"#),
        ] {
            assert_eq!(fields(line).unwrap_err().message, message, "{line}");
        }
    }
}
