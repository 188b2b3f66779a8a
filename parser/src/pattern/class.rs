//! Character classes, and the characters of paths that may not be UTF-8.

/// `[a-z]` or `[^a-z]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) negated: bool,
    pub(super) ranges: Vec<(char, char)>,
}

impl Class {
    pub(super) fn contains(&self, c: char) -> bool {
        self.ranges.iter().any(|&(first, last)| first <= c && c <= last) != self.negated
    }
}

/// The first character of `path` and its length. A byte that is no UTF-8 counts as one replacement character, as
/// in Go.
pub(super) fn first_char(path: &[u8]) -> Option<(char, usize)> {
    let first = *path.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let length = match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let decoded = path.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    Some(
        decoded
            .and_then(|text| text.chars().next())
            .map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, length)),
    )
}
