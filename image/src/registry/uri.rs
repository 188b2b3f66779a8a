//! The little of URLs that registries need.

use ureq::http::Uri;

/// Where a `Location` leads to, seen from `base`: absolute, or relative to the host or to the path.
/// `None` when that is no URL of http.
pub(super) fn join(base: &Uri, location: &str) -> Option<Uri> {
    let scheme = base.scheme_str()?;
    let authority = base.authority()?.as_str();
    let text = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let path = base.path();
        let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
        format!("{scheme}://{authority}{folder}{location}")
    };
    let uri: Uri = text.parse().ok()?;
    let good =
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    // A name and a password in a URL would become credentials.
    (good && !uri.authority()?.as_str().contains('@')).then_some(uri)
}

/// Host and port, the port always there: two URLs with the same origin may share credentials.
pub(super) fn origin(uri: &Uri) -> (String, String, u16) {
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let default = if scheme == "https" { 443 } else { 80 };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    (scheme, host, uri.port_u16().unwrap_or(default))
}

/// `text` as a part of a query: everything but letters, digits and `-._~` escaped.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `url` with one more parameter in its query.
pub(super) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{name}={}", escape(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_seen_from_where_they_were_given() {
        let base: Uri = "https://r.example:5000/v2/a/blobs/uploads/".parse().unwrap();
        for (location, expected) in [
            ("https://cdn.example/x?y=z", Some("https://cdn.example/x?y=z")),
            ("/v2/a/blobs/uploads/1?_state=q", Some("https://r.example:5000/v2/a/blobs/uploads/1?_state=q")),
            ("//o.example/x", Some("https://o.example/x")),
            ("1", Some("https://r.example:5000/v2/a/blobs/uploads/1")),
            ("ftp://r.example/x", None),
            ("file:///etc/passwd", None),
            ("https://user:secret@r.example/x", None),
            ("https://", None),
        ] {
            assert_eq!(join(&base, location).map(|uri| uri.to_string()).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let of = |text: &str| origin(&text.parse().unwrap());
        assert_eq!(of("https://A.example/x"), of("https://a.example:443/y"));
        assert_ne!(of("https://a.example/"), of("http://a.example/"));
        assert_ne!(of("https://a.example/"), of("https://a.example:444/"));
    }

    #[test]
    fn parameters_are_escaped() {
        assert_eq!(with_parameter("u", "a", "b c&d:é"), "u?a=b%20c%26d%3A%C3%A9");
        assert_eq!(with_parameter("u?x=1", "a", "b"), "u?x=1&a=b");
    }
}
