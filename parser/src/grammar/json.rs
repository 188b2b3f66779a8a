//! JSON arrays of strings, the exec form of many instructions.

use std::borrow::Cow;

use serde_json::Value;

use crate::diagnostic::Diagnostic;

/// Arguments that are a JSON array or something else.
#[derive(Debug)]
pub(crate) enum JsonOr<T> {
    /// The elements.
    Json(Vec<String>),
    /// Anything that is not valid JSON or not an array.
    Other(T),
}

/// Reads an array of strings. None if the text is not a JSON array, which is no error.
///
/// # Errors
/// If the text is an array, but not only of strings.
pub(crate) fn array(text: &str) -> Result<Option<Vec<String>>, Diagnostic> {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(&whole(text)) else { return Ok(None) };
    let strings = values.into_iter().map(|value| match value {
        Value::String(string) => Some(string),
        _ => None,
    });
    match strings.collect::<Option<Vec<_>>>() {
        Some(strings) => Ok(Some(strings)),
        None => {
            Err(Diagnostic::new("when using JSON array syntax, arrays must be comprised of strings only"))
        }
    }
}

/// Half a surrogate pair is no JSON for a strict reader, but U+FFFD for Go, whose reading counts here.
fn whole(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The number of a `\u` escape, four hexadecimal digits, at the beginning.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    // The library would take a sign, too.
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_are_read_as_go_reads_them() {
        for (text, want) in [
            (r#"["\ud83d\ude00"]"#, "\u{1f600}"),
            (r#"["\ud83d"]"#, "\u{fffd}"),
            (r#"["a\ude00b"]"#, "a\u{fffd}b"),
            (r#"["\ud83d\u0041"]"#, "\u{fffd}A"),
            (r#"["\ud83d\ud83d\ude00"]"#, "\u{fffd}\u{1f600}"),
            (r#"["\\ud83d"]"#, "\\ud83d"),
            (r#"["\n\u00e9"]"#, "\né"),
        ] {
            assert_eq!(array(text).ok().flatten(), Some(vec![want.to_owned()]), "{text}");
        }
        for text in [r#"["\ud8"]"#, r#"["\u+123"]"#, "[\"\\", r#"["\x"]"#] {
            assert_eq!(array(text).ok(), Some(None), "{text}");
        }
    }
}
