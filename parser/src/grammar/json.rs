//! JSON arrays of strings, the exec form of many instructions.

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
    let Ok(values) = serde_json::from_str::<Vec<Value>>(text) else { return Ok(None) };
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
