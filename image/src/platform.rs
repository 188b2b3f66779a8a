//! Platforms: `os/architecture[/variant]`, normalised as containerd does (spec 4.5).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a program in an image needs to run on. Values are in Go's terms (`amd64`, `arm64`), normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture (GOARCH).
    pub architecture: String,
    /// Operating system (GOOS).
    pub os: String,
    /// Version of the operating system; only Windows images have one.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What of the operating system the image needs; for people, nothing is chosen by it.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the architecture, such as `v7` for arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// A part that is empty or has characters other than letters, digits, `_`, `.` and `-`.
    #[error(
        "{0:?} is an invalid component of {1:?}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
    )]
    Component(String, String),
    /// A single word that is neither a known operating system nor a known architecture.
    #[error("{0:?}: unknown operating system or architecture: invalid argument")]
    Unknown(String),
    /// More than three parts.
    #[error("{0:?}: cannot parse platform specifier: invalid argument")]
    Parts(String),
}

const SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

const ARCHITECTURES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

impl Platform {
    /// A platform from its parts, normalised.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, variant) = normalise_architecture(architecture, variant.unwrap_or_default());
        Self { architecture, os: normalise_system(os), os_version: None, os_features: Vec::new(), variant }
    }

    /// The platform that this program was compiled for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            other => other,
        };
        Self::new(std::env::consts::OS, architecture, None)
    }

    /// Whether system and architecture are among those that Go programs, and so container engines, are made for.
    pub fn is_known(&self) -> bool {
        SYSTEMS.contains(&&*self.os) && ARCHITECTURES.contains(&&*self.architecture)
    }

    /// Whether an image for `image` satisfies a request for `self`: the same after normalisation, the version of
    /// the operating system left aside.
    pub fn accepts(&self, image: &Self) -> bool {
        let normal = |p: &Self| Self::new(&p.os, &p.architecture, p.variant.as_deref());
        normal(self) == normal(image)
    }
}

impl Platform {
    /// What runs on this platform, best first (as containerd has it).
    pub fn runs(&self) -> Vec<Self> {
        let with = |architecture: &str, variant: Option<&str>| Self::new(&self.os, architecture, variant);
        let mut all = vec![self.clone()];
        let level =
            self.variant.as_deref().and_then(|variant| variant.strip_prefix('v')?.parse::<u32>().ok());
        match self.architecture.as_str() {
            "amd64" => {
                for below in (1..level.unwrap_or(1)).rev() {
                    all.push(with("amd64", Some(&format!("v{below}"))));
                }
                all.push(with("386", None));
            }
            "arm64" => {
                all.push(with("arm64", None));
                all.extend((5..=8).rev().map(|below| with("arm", Some(&format!("v{below}")))));
            }
            "arm" => {
                all.extend(
                    (5..level.unwrap_or(7)).rev().map(|below| with("arm", Some(&format!("v{below}")))),
                );
            }
            _ => {}
        }
        all
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if let Some(version) = &self.os_version {
            write!(f, "({version})")?;
        }
        write!(f, "/{}", self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let mut parts: Vec<&str> = text.split('/').collect();
        let (os, os_version) = split_version(parts[0]);
        parts[0] = os;
        if let Some(bad) = parts.iter().find(|part| !is_component(part)) {
            return Err(PlatformError::Component((*bad).to_owned(), text.to_owned()));
        }
        let mut platform = match parts[..] {
            [one] => single(one).ok_or_else(|| PlatformError::Unknown(text.to_owned()))?,
            [os, architecture] => Self::new(os, architecture, None),
            [os, architecture, variant] => Self::new(os, architecture, Some(variant)),
            _ => return Err(PlatformError::Parts(text.to_owned())),
        };
        platform.os_version = os_version.map(str::to_owned);
        Ok(platform)
    }
}

fn single(word: &str) -> Option<Platform> {
    let host = Platform::host();
    let os = normalise_system(word);
    if SYSTEMS.contains(&os.as_str()) {
        return Some(Platform { os, ..host });
    }
    let (architecture, variant) = normalise_architecture(word, "");
    ARCHITECTURES.contains(&architecture.as_str()).then_some(Platform { architecture, variant, ..host })
}

fn split_version(os: &str) -> (&str, Option<&str>) {
    match os.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        Some((name, version)) => (name, Some(version)),
        None => (os, None),
    }
}

fn is_component(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn normalise_system(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

fn normalise_architecture(architecture: &str, variant: &str) -> (String, Option<String>) {
    let (architecture, variant) = (architecture.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", other) => ("arm64", other),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), (!variant.is_empty()).then(|| variant.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_normalised() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("macos/arm64", "darwin/arm64"),
            ("windows(10.0.1)/amd64", "windows(10.0.1)/amd64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn one_word_is_a_system_or_an_architecture() {
        assert_eq!("linux".parse::<Platform>().unwrap().architecture, Platform::host().architecture);
        assert_eq!("riscv64".parse::<Platform>().unwrap(), Platform::new("linux", "riscv64", None));
    }

    #[test]
    fn malformed_platforms_are_refused() {
        for text in ["", "linux/", "linux/amd64/v1/x", "pdp11", "linux/am d64", "/amd64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn matching_ignores_how_a_platform_is_spelt() {
        let request = Platform::new("linux", "arm64", None);
        let image = Platform { variant: Some("v8".into()), ..request.clone() };
        assert!(request.accepts(&image));
        assert!(!request.accepts(&Platform::new("linux", "amd64", None)));
    }
}
