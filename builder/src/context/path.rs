//! Paths inside a source or a root file system: bytes, relative, without `.`, `..` and trailing slashes.
//! The empty path is the root.

/// `parent/name`; the name alone below the root.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        return name.to_vec();
    }
    if name.is_empty() {
        return parent.to_vec();
    }
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    path.extend_from_slice(parent);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

/// The last component; empty for the root.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// Everything before the last component.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&b| b == b'/').map_or(&[], |at| &path[..at])
}

/// The components, without empty ones and `.`.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// Lexically cleaned and relative to the root; `..` at the root stays there.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let mut stack: Vec<&[u8]> = Vec::new();
    for part in components(path) {
        if part == b".." {
            stack.pop();
        } else {
            stack.push(part);
        }
    }
    stack.join(&b'/')
}

/// For messages: absolute inside its root.
pub(crate) fn show(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

/// Bytes as text that fits on a line and is the same for no others: what cannot be printed is written as in Rust.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' { text.extend(c.escape_default()) } else { text.push(c) }
        }
        text.extend(chunk.invalid().iter().flat_map(|byte| byte.escape_ascii()).map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_stays_inside_the_root() {
        for (path, want) in
            [("/a//b/./c/", "a/b/c"), ("../../x", "x"), ("/a/../..", ""), ("a/b/../c", "a/c"), ("", "")]
        {
            assert_eq!(clean(path.as_bytes()), want.as_bytes(), "{path}");
        }
    }

    #[test]
    fn every_name_can_be_printed() {
        for (bytes, want) in [
            (&b"a b\xc3\xa4"[..], "a bä"),
            (b"a\nb", r"a\nb"),
            (b"\xff\xfe", r"\xff\xfe"),
            (br"\xff", r"\\xff"),
        ] {
            assert_eq!(printable(bytes), want);
        }
    }

    #[test]
    fn parts_of_a_path() {
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a", b"b"), b"a/b");
        assert_eq!(parent(b"a/b/c"), b"a/b");
        assert_eq!(parent(b"a"), b"");
        assert_eq!(base_name(b"a/b"), b"b");
    }
}
