//! `rbuild pull` and `rbuild push`.

use rbuild_image::platform::Platform;
use rbuild_image::reference::Reference;
use rbuild_image::registry::{Compression, PullOptions, PushOptions};

use crate::args::{CompressionKind, PullArgs, PushArgs};
use crate::exit::Failure;
use crate::settings::{Environment, ProgressMode, progress};

/// What is to be pulled.
#[derive(Debug)]
pub(crate) struct PullSettings {
    /// From where; without a tag if `all_tags`.
    pub(crate) name: Reference,
    /// The name had neither tag nor digest.
    pub(crate) default_tag: bool,
    /// Everything that the repository has.
    pub(crate) all_tags: bool,
    /// Only the name is printed.
    pub(crate) quiet: bool,
    /// How the transfer is shown.
    pub(crate) progress: ProgressMode,
    /// Which images of several; at least one.
    pub(crate) options: Vec<PullOptions>,
}

impl PullSettings {
    /// What the arguments mean in this environment.
    pub(crate) fn new(args: &PullArgs, environment: &Environment) -> Result<Self, Failure> {
        let name = reference(&args.name)?;
        let bare = name.tag().is_none() && name.digest().is_none();
        if args.all_tags && !bare {
            return Err(Failure::new("tag can't be used with --all-tags/-a"));
        }
        let from_environment = || environment.value("DOCKER_DEFAULT_PLATFORM");
        let mut platforms = args.platform.clone();
        if platforms.is_empty() {
            platforms.extend(from_environment());
        }
        platforms.retain(|text| !text.is_empty());
        let mut options = platforms
            .iter()
            .map(|text| {
                let platform = text
                    .parse::<Platform>()
                    .map_err(|e| Failure::usage(format!("invalid platform {text:?}: {e}")))?;
                Ok(PullOptions { platform, exact_platform: true })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        if options.is_empty() {
            options.push(PullOptions::default());
        }
        Ok(Self {
            name: if args.all_tags { name } else { name.with_default_tag() },
            default_tag: bare && !args.all_tags,
            all_tags: args.all_tags,
            quiet: args.quiet,
            progress: progress::of_transfer(args.progress, args.quiet, environment)?,
            options,
        })
    }
}

/// What is to be pushed.
#[derive(Debug)]
pub(crate) struct PushSettings {
    /// Repositories if `all_tags`, else names with tags.
    pub(crate) names: Vec<Reference>,
    /// Every name of the store in the repositories.
    pub(crate) all_tags: bool,
    /// Only names are printed.
    pub(crate) quiet: bool,
    /// How the transfer is shown.
    pub(crate) progress: ProgressMode,
    /// How.
    pub(crate) options: PushOptions,
}

impl PushSettings {
    /// What the arguments mean.
    pub(crate) fn new(args: &PushArgs, environment: &Environment) -> Result<Self, Failure> {
        let mut names = Vec::new();
        for text in &args.names {
            let name = reference(text)?;
            if name.digest().is_some() {
                return Err(Failure::new(format!("{text}: cannot push a digest reference")));
            }
            if args.all_tags && name.tag().is_some() {
                return Err(Failure::new("tag can't be used with --all-tags/-a"));
            }
            names.push(if args.all_tags { name } else { name.with_default_tag() });
        }
        let compression = chosen_compression(args.compression, args.compression_level)
            .map_err(|what| Failure::usage(format!("--compression-level: {what}")))?;
        Ok(Self {
            names,
            all_tags: args.all_tags,
            quiet: args.quiet,
            progress: progress::of_transfer(args.progress, args.quiet, environment)?,
            options: PushOptions { compression },
        })
    }
}

fn reference(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|e| Failure::new(format!("invalid reference format: {text:?}: {e}")))
}

/// The compression that is asked for; None if none is.
pub(crate) fn chosen_compression(
    kind: Option<CompressionKind>,
    level: Option<u32>,
) -> Result<Option<Compression>, &'static str> {
    let compression = compression(kind, level)?;
    Ok((kind.is_some() || level.is_some()).then_some(compression))
}

/// A kind of compression with its level; gzip's usual one without either.
pub(crate) fn compression(
    kind: Option<CompressionKind>,
    level: Option<u32>,
) -> Result<Compression, &'static str> {
    Ok(match (kind.unwrap_or(CompressionKind::Gzip), level) {
        (CompressionKind::Gzip, None) => Compression::default(),
        (CompressionKind::Gzip, Some(level @ 1..=9)) => Compression::Gzip(level),
        (CompressionKind::Gzip, Some(_)) => return Err("gzip has levels 1 to 9"),
        (CompressionKind::Zstd, None) => Compression::Zstd(ZSTD_LEVEL),
        (CompressionKind::Zstd, Some(level)) => match i32::try_from(level) {
            Ok(level @ 1..=22) => Compression::Zstd(level),
            _ => return Err("zstd has levels 1 to 22"),
        },
        (CompressionKind::Uncompressed, None) => Compression::None,
        (CompressionKind::Uncompressed, Some(_)) => return Err("uncompressed has no levels"),
    })
}

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_compression() {
        use CompressionKind as Kind;
        for (kind, level, want) in [
            (None, None, Ok(Compression::Gzip(6))),
            (None, Some(9), Ok(Compression::Gzip(9))),
            (Some(Kind::Gzip), Some(10), Err("gzip has levels 1 to 9")),
            (Some(Kind::Zstd), None, Ok(Compression::Zstd(3))),
            (Some(Kind::Zstd), Some(22), Ok(Compression::Zstd(22))),
            (Some(Kind::Zstd), Some(0), Err("zstd has levels 1 to 22")),
            (Some(Kind::Uncompressed), None, Ok(Compression::None)),
            (Some(Kind::Uncompressed), Some(1), Err("uncompressed has no levels")),
        ] {
            assert_eq!(compression(kind, level), want, "{kind:?} {level:?}");
        }
    }

    #[test]
    fn all_tags_wants_no_tag() {
        let args = |name: &str, all_tags| PullArgs {
            all_tags,
            platform: Vec::new(),
            progress: None,
            quiet: false,
            name: name.into(),
        };
        for (name, all, good) in [
            ("busybox", true, true),
            ("busybox:1", true, false),
            ("busybox:1", false, true),
            ("BAD", false, false),
        ] {
            let got = PullSettings::new(&args(name, all), &Environment::of(&[]));
            assert_eq!(got.is_ok(), good, "{name} {all}");
        }
        let got = PullSettings::new(
            &args("x", false),
            &Environment::of(&[("DOCKER_DEFAULT_PLATFORM", "linux/arm64")]),
        );
        let got = got.expect("good");
        let [only] = &got.options[..] else { panic!("one platform") };
        assert!(got.default_tag && only.exact_platform && only.platform.architecture == "arm64");
    }
}
