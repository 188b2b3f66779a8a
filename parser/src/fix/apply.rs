//! Putting edits into the text.

use super::edits::{Edit, edits};
use crate::lint::Warning;
use crate::parse::parse;
use crate::source::Source;

/// A file with edits in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The whole new text.
    pub text: String,
    /// What was changed.
    pub edits: Vec<Edit>,
}

/// Rewrites a file as these warnings ask. None if there is nothing to rewrite; also if the file has errors or is not
/// UTF-8, since then places in it are not sure.
#[must_use]
pub fn fix(bytes: &[u8], warnings: &[Warning]) -> Option<Fixed> {
    let text = std::str::from_utf8(bytes).ok()?;
    let parsed = parse(bytes);
    if !parsed.errors.is_empty() {
        return None;
    }
    let edits = edits(&Source::new(bytes), &parsed.dockerfile, warnings);
    if edits.is_empty() {
        return None;
    }
    Some(Fixed { text: replace(text, &edits), edits })
}

fn replace<'e>(text: &str, edits: impl IntoIterator<Item = &'e Edit>) -> String {
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        out.push_str(&text[at..edit.span.start as usize]);
        out.push_str(&edit.text);
        at = edit.span.end as usize;
    }
    out.push_str(&text[at..]);
    out
}

/// The lines of an instruction as they would be with the edits of one warning; None if there are none.
#[must_use]
pub fn rewritten(source: &Source<'_>, edits: &[Edit], warning: &Warning) -> Option<String> {
    let own: Vec<&Edit> =
        edits.iter().filter(|edit| edit.rule == warning.rule && edit.line == warning.lines.first).collect();
    let (first, last) = (own.first()?, own.last()?);
    let text = source.text();
    let start = text[..first.span.start as usize].rfind('\n').map_or(0, |end| end + 1);
    let end =
        text[last.span.end as usize..].find('\n').map_or(text.len(), |end| last.span.end as usize + end);
    let mut out = String::new();
    let mut at = start;
    for edit in own {
        out.push_str(&text[at..edit.span.start as usize]);
        out.push_str(&edit.text);
        at = edit.span.end as usize;
    }
    out.push_str(&text[at..end.max(at)]);
    Some(out)
}
