//! Wildcards in sources: Go's `path.Match`, component by component, so that only directories that a pattern
//! can reach are listed.

use rbuild_parser::pattern::path_match;

use super::error::CopyError;
use crate::context::path::{components, join};
use crate::context::{Context, Kind};

/// Whether there is an unescaped `*`, `?` or `[`.
pub(crate) fn is_wild(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}

/// Splits a path before its first component with a wildcard; None if there is none.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut start = 0;
    for part in path.split(|&b| b == b'/') {
        if is_wild(part) {
            return Some((&path[..start.max(1) - 1], &path[start..]));
        }
        start += part.len() + 1;
    }
    None
}

/// The paths below `start` that match, in lexical order. Links below `start` are not followed.
pub(crate) fn expand(source: &Context, start: Vec<u8>, pattern: &[u8]) -> Result<Vec<Vec<u8>>, CopyError> {
    let parts: Vec<&[u8]> = components(pattern).collect();
    for part in &parts {
        // A malformed pattern is an error even where nothing is compared with it.
        matches(part, b"")?;
    }
    let mut matched = vec![start];
    for (depth, part) in parts.iter().enumerate() {
        let is_last = depth + 1 == parts.len();
        let mut next = Vec::new();
        for dir in matched {
            for found in source.list(&dir)? {
                if (is_last || found.meta.kind == Kind::Dir) && matches(part, &found.name)? {
                    next.push(join(&dir, &found.name));
                }
            }
        }
        matched = next;
    }
    Ok(matched)
}

fn matches(pattern: &[u8], name: &[u8]) -> Result<bool, CopyError> {
    let pattern = String::from_utf8_lossy(pattern);
    path_match(&pattern, name)
        .map_err(|cause| CopyError::Pattern { pattern: pattern.into_owned(), cause: cause.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_before_the_first_wildcard() {
        for (path, want) in [
            ("a/b/c", None),
            ("a/*/c", Some(("a", "*/c"))),
            ("*", Some(("", "*"))),
            ("a/b?", Some(("a", "b?"))),
            ("a/[x]y", Some(("a", "[x]y"))),
            (r"a/\*", None),
            (r"a\*/b*", Some((r"a\*", "b*"))),
        ] {
            let want = want.map(|(a, b): (&str, &str)| (a.as_bytes(), b.as_bytes()));
            assert_eq!(split(path.as_bytes()), want, "{path}");
        }
    }
}
