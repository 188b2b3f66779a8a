//! What of a URL becomes a file name.

/// Last element of the URL's path, `__unnamed__` if there is none that can be a file's name.
pub(super) fn file_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    match path.rsplit('/').next() {
        None | Some("" | "." | "..") => "__unnamed__".to_owned(),
        Some(name) => match unescape(name, b"/\0") {
            text if text == "." || text == ".." => name.to_owned(),
            text => text,
        },
    }
}

/// `%41` as `A`, but for the bytes in `keep`. What is not UTF-8 then stays as it is.
pub(super) fn unescape(text: &str, keep: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(decoded) if !keep.contains(&decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (url, want) in [
            ("http://h/foo", "foo"),
            ("http://h/a/foo.tar.gz?x=1/2#y", "foo.tar.gz"),
            ("http://h/", "__unnamed__"),
            ("http://h", "__unnamed__"),
            ("http://h/a%20b", "a b"),
            ("http://h/a%2fb", "a%2fb"),
            ("http://h/%2e%2e", "%2e%2e"),
        ] {
            assert_eq!(file_name(url), want, "{url}");
        }
    }
}
