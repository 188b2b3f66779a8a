//! `os/arch[/variant]`, as far as the language needs it (spec 4.5).

/// A normalised platform, in parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Platform {
    pub(super) os: String,
    pub(super) version: String,
    pub(super) arch: String,
    pub(super) variant: String,
}

impl Platform {
    /// Parses and normalises. The error is containerd's.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let invalid = |why: &str| format!("{}: {why}: invalid argument", crate::go::quote(text));
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 {
            return Err(invalid("cannot parse platform specifier"));
        }
        let (os, version) =
            match parts[0].split_once('(').and_then(|(os, rest)| Some((os, rest.strip_suffix(')')?))) {
                Some((os, version)) => (os, version),
                None => (parts[0], ""),
            };
        let word = |text: &str| {
            !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        };
        if !word(os) || !parts[1..].iter().all(|part| word(part)) {
            return Err(invalid("invalid component"));
        }
        if parts.len() == 1 {
            return Self::single(os).ok_or_else(|| invalid("unknown operating system or architecture"));
        }
        let (arch, variant) = normalise(parts[1], parts.get(2).copied().unwrap_or(""));
        Ok(Self { os: os_name(os), version: version.to_owned(), arch, variant })
    }

    /// An operating system or an architecture alone; the other one is that of the common Linux machine.
    fn single(text: &str) -> Option<Self> {
        let os = os_name(text);
        if matches!(&*os, "linux" | "windows" | "darwin" | "freebsd") {
            return Some(Self { os, arch: "amd64".to_owned(), ..Self::default() });
        }
        let (arch, variant) = normalise(text, "");
        let known = matches!(
            &*arch,
            "386"
                | "amd64"
                | "arm"
                | "arm64"
                | "loong64"
                | "mips"
                | "mips64"
                | "mips64le"
                | "mipsle"
                | "ppc64"
                | "ppc64le"
                | "riscv64"
                | "s390x"
                | "wasm"
        );
        known.then(|| Self { os: "linux".to_owned(), version: String::new(), arch, variant })
    }

    /// The text with all parts that there are.
    pub(super) fn format(&self) -> String {
        let mut text = self.os.clone();
        if !self.version.is_empty() {
            text.push_str(&format!("({})", self.version));
        }
        for part in [&self.arch, &self.variant] {
            if !part.is_empty() {
                text.push('/');
                text.push_str(part);
            }
        }
        text
    }
}

fn os_name(os: &str) -> String {
    match os.to_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        os => os.to_owned(),
    }
}

fn normalise(arch: &str, variant: &str) -> (String, String) {
    let (arch, variant) = (arch.to_lowercase(), variant.to_lowercase());
    let (arch, variant) = match (arch.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        (arch, variant) => (arch, variant),
    };
    (arch.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        for (text, expected) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("Linux/AMD64", "linux/amd64"),
            ("windows(10.0.1)/amd64", "windows(10.0.1)/amd64"),
            ("arm64", "linux/arm64"),
            ("linux", "linux/amd64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().format(), expected, "{text}");
        }
        assert_eq!(
            Platform::parse("a/b/c/d").unwrap_err(),
            "\"a/b/c/d\": cannot parse platform specifier: invalid argument"
        );
        assert!(Platform::parse("linux/").is_err());
        assert!(Platform::parse("nonsense").is_err());
    }
}
