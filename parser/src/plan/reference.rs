//! Names of images, as far as the language needs them: whether a text can be one, and the short form under which
//! `--build-context` replaces it.

/// Checks the grammar. The error is BuildKit's.
pub(super) fn validate(name: &str) -> Result<(), String> {
    let invalid = || "invalid reference format".to_owned();
    if name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"));
    }
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    let (domain, path_and_tag) = split_domain(rest);
    let (path, tag) = match path_and_tag.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path_and_tag, None),
    };
    if path.chars().any(char::is_uppercase) {
        let library = if domain.is_none() && !path.contains('/') { "library/" } else { "" };
        return Err(format!("invalid reference format: repository name ({library}{path}) must be lowercase"));
    }
    let valid = path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
        && domain.is_none_or(is_domain);
    if valid { Ok(()) } else { Err(invalid()) }
}

/// `docker.io/library/busybox:latest` as `busybox`.
pub(super) fn familiar(name: &str) -> &str {
    let name = name.strip_suffix(":latest").unwrap_or(name);
    let name =
        name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    match name.strip_prefix("library/") {
        Some(rest) if !rest.contains('/') => rest,
        _ => name,
    }
}

fn split_domain(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(char::is_uppercase) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separator = String::new();
    let mut started = false;
    for c in text.chars() {
        if alphanumeric(c) {
            let fits =
                matches!(separator.as_str(), "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
            if !fits || (!started && !separator.is_empty()) {
                return false;
            }
            separator.clear();
            started = true;
        } else {
            separator.push(c);
        }
    }
    started && separator.is_empty()
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(word) && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
        && algorithm.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.'))
        && hex.len() >= 32
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let address = host.starts_with('[') && host.ends_with(']');
    let name = host.split('.').all(|part| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    });
    (address || name)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validates() {
        for name in [
            "busybox",
            "busybox:1.0",
            "a/b-c__d.e:T_1",
            "localhost/x",
            "host:5000/x/y@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "UPPER.example/x",
        ] {
            assert_eq!(validate(name), Ok(()), "{name}");
        }
        for name in ["", ":", "a:", "busybox:", "a//b", "-a", "a-", "a b", "x@sha256:12", "a.-b", "$x"] {
            assert_eq!(validate(name), Err("invalid reference format".to_owned()), "{name}");
        }
        assert_eq!(
            validate("Helper"),
            Err("invalid reference format: repository name (library/Helper) must be lowercase".to_owned())
        );
    }

    #[test]
    fn shortens() {
        for (name, short) in [
            ("docker.io/library/busybox:latest", "busybox"),
            ("some/image:tag", "some/image:tag"),
            ("docker.io/some/image", "some/image"),
            ("builder", "builder"),
        ] {
            assert_eq!(familiar(name), short);
        }
    }
}
