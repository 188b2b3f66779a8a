//! `build --output`.

use std::path::PathBuf;

use clap::ValueEnum;
use rbuild_image::registry::PushOptions;

use super::{pairs, registry};
use crate::args::CompressionKind;
use crate::exit::Failure;

/// Where the result of a build goes besides the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputSettings {
    /// In which form.
    pub(crate) format: OutputFormat,
    /// To where.
    pub(crate) target: OutputTarget,
    /// How the image is pushed under its names; None if it is not.
    pub(crate) push: Option<PushOptions>,
    /// `rewrite-timestamp=true`.
    pub(crate) rewrite_times: bool,
}

/// The forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    /// An archive for `docker load` (and every reader of OCI layouts).
    Docker,
    /// An OCI layout as an archive, or as a folder with `tar=false`.
    Oci {
        /// An archive.
        tar: bool,
    },
    /// The files of the image as one tar.
    Tar,
    /// The files of the image, in a folder.
    Local,
    /// Only into the store.
    Image,
    /// To docker on this machine.
    DockerLoad,
}

/// The place of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputTarget {
    /// Standard output.
    Stdout,
    /// A file or folder.
    Path(PathBuf),
    /// The store.
    Store,
}

/// The members of `--output` that are about pushing.
#[derive(Debug, Default)]
struct PushMembers {
    push: bool,
    kind: Option<CompressionKind>,
    level: Option<u32>,
}

impl PushMembers {
    /// Takes a member; false if it is about something else.
    fn take(&mut self, key: &str, value: &str) -> Result<bool, &'static str> {
        match key {
            "push" => self.push = value.parse().map_err(|_| "push= is true or false")?,
            "compression" => {
                let kind = CompressionKind::from_str(value, true);
                self.kind = Some(kind.map_err(|_| "compression= is gzip, zstd or uncompressed")?);
            }
            "compression-level" => {
                self.level = Some(value.parse().map_err(|_| "compression-level= is a number")?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn options(&self) -> Result<Option<PushOptions>, &'static str> {
        if !self.push && (self.kind.is_some() || self.level.is_some()) {
            return Err("compression= is for what is pushed");
        }
        let compression = registry::chosen_compression(self.kind, self.level)?;
        Ok(self.push.then_some(PushOptions { compression }))
    }
}

impl OutputSettings {
    /// `--push`.
    pub(super) fn pushed() -> Self {
        let push = Some(PushOptions::default());
        Self { format: OutputFormat::Image, target: OutputTarget::Store, push, rewrite_times: false }
    }

    /// `DIR`, `-` or `type=…,dest=…`. Names given as `name=` are returned beside it.
    pub(super) fn parse(text: &str, stdout_is_terminal: bool) -> Result<(Self, Vec<String>), Failure> {
        let wrong = |what: &str| Failure::usage(format!("invalid argument {text:?} for --output: {what}"));
        if text == "-" {
            return Self::checked(OutputFormat::Tar, Some("-"), stdout_is_terminal, wrong)
                .map(|o| (o, Vec::new()));
        }
        if !text.contains('=') {
            return Self::checked(OutputFormat::Local, Some(text), stdout_is_terminal, wrong)
                .map(|o| (o, Vec::new()));
        }
        let (mut kind, mut dest, mut names, mut tar) = (None, None, Vec::new(), true);
        let mut rewrite_times = false;
        let mut push = PushMembers::default();
        for (key, value) in pairs::members("--output", text)? {
            if push.take(&key, &value).map_err(wrong)? {
                continue;
            }
            match key.as_str() {
                "type" => kind = Some(value),
                "dest" | "output" => dest = Some(value),
                "name" => names.extend(value.split(',').map(str::to_owned)),
                "rewrite-timestamp" => {
                    rewrite_times =
                        value.parse().map_err(|_| wrong("rewrite-timestamp= is true or false"))?;
                }
                "tar" => tar = value.parse().map_err(|_| wrong("tar= is true or false"))?,
                _ => return Err(wrong(&format!("{key}= is not supported"))),
            }
        }
        let format = match kind.as_deref() {
            Some("docker") => OutputFormat::Docker,
            Some("oci") => OutputFormat::Oci { tar },
            Some("tar") => OutputFormat::Tar,
            Some("local") => OutputFormat::Local,
            Some("image") => OutputFormat::Image,
            Some("docker-load") => OutputFormat::DockerLoad,
            Some("registry") => {
                push.push = true;
                OutputFormat::Image
            }
            Some(other) => {
                return Err(wrong(&format!(
                    "type={other} is not supported (docker, docker-load, oci, tar, local, image, registry)"
                )));
            }
            None => return Err(wrong("type= is missing")),
        };
        let push = push.options().map_err(wrong)?;
        if push.is_some() && format != OutputFormat::Image {
            return Err(wrong("push= is for type=image"));
        }
        let output = Self::checked(format, dest.as_deref(), stdout_is_terminal, wrong)?;
        Ok((Self { push, rewrite_times, ..output }, names))
    }

    fn checked(
        format: OutputFormat,
        dest: Option<&str>,
        stdout_is_terminal: bool,
        wrong: impl Fn(&str) -> Failure,
    ) -> Result<Self, Failure> {
        let target = match (format, dest) {
            (OutputFormat::Image | OutputFormat::DockerLoad, None) => OutputTarget::Store,
            (OutputFormat::Image, Some(_)) => return Err(wrong("type=image has no dest=")),
            (OutputFormat::DockerLoad, Some(_)) => return Err(wrong("type=docker-load has no dest=")),
            // docker hands the archive to its daemon; here the store has the image anyway.
            (OutputFormat::Docker, None) => OutputTarget::Store,
            (OutputFormat::Local, None) => return Err(wrong("type=local needs dest=")),
            (OutputFormat::Oci { tar: false }, None) => return Err(wrong("tar=false needs dest=")),
            (OutputFormat::Local | OutputFormat::Oci { tar: false }, Some("-")) => {
                return Err(wrong("a folder cannot be written to standard output"));
            }
            (_, None | Some("-")) if stdout_is_terminal => {
                return Err(wrong("refusing to write an archive to the terminal; give dest= or redirect"));
            }
            (_, None | Some("-")) => OutputTarget::Stdout,
            (_, Some("")) => return Err(wrong("dest= is empty")),
            (_, Some(path)) => OutputTarget::Path(path.into()),
        };
        Ok(Self { format, target, push: None, rewrite_times: false })
    }
}

#[cfg(test)]
mod tests {
    use rbuild_image::registry::Compression;

    use super::*;

    #[test]
    fn forms() {
        let path = |p: &str| OutputTarget::Path(p.into());
        for (text, want) in [
            ("out", Some((OutputFormat::Local, path("out")))),
            ("-", Some((OutputFormat::Tar, OutputTarget::Stdout))),
            ("type=docker,dest=a.tar", Some((OutputFormat::Docker, path("a.tar")))),
            ("type=docker", Some((OutputFormat::Docker, OutputTarget::Store))),
            ("type=oci,dest=-", Some((OutputFormat::Oci { tar: true }, OutputTarget::Stdout))),
            ("type=oci,tar=false,dest=d", Some((OutputFormat::Oci { tar: false }, path("d")))),
            ("type=oci,tar=false,dest=-", None),
            ("type=tar", Some((OutputFormat::Tar, OutputTarget::Stdout))),
            ("type=local", None),
            ("type=local,dest=-", None),
            ("type=image,name=x", Some((OutputFormat::Image, OutputTarget::Store))),
            ("type=registry,name=x", Some((OutputFormat::Image, OutputTarget::Store))),
            ("type=docker,push=true", None),
            ("type=docker-load", Some((OutputFormat::DockerLoad, OutputTarget::Store))),
            ("type=docker-load,dest=x", None),
            ("type=image,compression=zstd", None),
            ("type=registry,compression=lzma", None),
            ("type=registry,compression=gzip,compression-level=12", None),
            ("dest=x", None),
            ("type=tar,dest=x,rewrite-timestamp=true", Some((OutputFormat::Tar, path("x")))),
            ("type=tar,dest=x,rewrite-timestamp=maybe", None),
        ] {
            let got = OutputSettings::parse(text, false).ok().map(|(o, _)| (o.format, o.target));
            assert_eq!(got, want, "{text}");
        }
        for (text, want) in [
            ("type=image", None),
            ("type=image,push=false", None),
            ("type=image,push=true", Some(Compression::Gzip(6))),
            ("type=registry,compression=zstd,compression-level=9", Some(Compression::Zstd(9))),
        ] {
            let (output, _) = OutputSettings::parse(text, false).expect(text);
            assert_eq!(output.push.map(|push| push.compression.unwrap_or_default()), want, "{text}");
        }
        assert!(OutputSettings::parse("type=tar", true).is_err(), "an archive on a terminal");
    }
}
