//! Paths as text: the lexical rules of spec appendix A. Nothing here looks at a file system.

/// Go's `path.Clean`: `//`, `/./`, `..` and a trailing slash vanish; the empty path is `.`.
pub fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Go's `path.Join` of two paths, neither of which is empty.
pub fn join(base: &str, path: &str) -> String {
    clean(&format!("{base}/{path}"))
}

/// The working directory after `WORKDIR path` in `current`: absolute paths are taken as they are.
pub fn workdir(current: &str, path: &str) -> String {
    let current = match current {
        "" => "/".to_owned(),
        current if current.starts_with('/') => current.to_owned(),
        relative => join("/", relative),
    };
    match path {
        "" => current,
        path if path.starts_with('/') => path.to_owned(),
        path => join(&current, path),
    }
}

/// The absolute destination of COPY and ADD. A trailing `/` or `/.` of the result says that it is a directory.
pub fn destination(current: &str, path: &str) -> String {
    let path = if matches!(path, "" | ".") { "./" } else { path };
    let joined = if path.starts_with('/') {
        clean(path)
    } else {
        join(if current.is_empty() { "/" } else { current }, path)
    };
    let absolute = if joined.starts_with('/') { joined } else { join("/", &joined) };
    let slash = if absolute == "/" { "" } else { "/" };
    if path.ends_with('/') {
        format!("{absolute}{slash}")
    } else if path.ends_with("/.") || path == "." {
        format!("{absolute}{slash}.")
    } else {
        absolute
    }
}

/// A source of COPY and ADD, relative to the root of where it comes from. It cannot escape that root.
pub fn source(path: &str) -> String {
    join("/", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans() {
        for (path, expected) in [
            ("", "."),
            ("/", "/"),
            ("a//b/./c/", "a/b/c"),
            ("/../a/../..", "/"),
            ("../a/..", ".."),
            ("a/..", "."),
            ("!a/../b", "b"),
            ("/a/b/..", "/a"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn working_directories() {
        for (current, path, expected) in [
            ("", "a", "/a"),
            ("/a", "../..", "/"),
            ("/a", "/b/../c/", "/b/../c/"),
            ("/tmp/", "x", "/tmp/x"),
            ("", "", "/"),
            ("rel", "x", "/rel/x"),
        ] {
            assert_eq!(workdir(current, path), expected, "{current} {path}");
        }
    }

    #[test]
    fn destinations() {
        for (current, path, expected) in [
            ("/w", "", "/w/"),
            ("/w", ".", "/w/"),
            ("/w", "d/", "/w/d/"),
            ("/w", "d/.", "/w/d/."),
            ("/w", "d", "/w/d"),
            ("/w", "../", "/"),
            ("/w", "/x/../y", "/y"),
            ("/w", "/", "/"),
            ("/w", "/.", "/."),
            ("", "f", "/f"),
        ] {
            assert_eq!(destination(current, path), expected, "{current} {path}");
        }
    }
}
