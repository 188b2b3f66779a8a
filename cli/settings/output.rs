//! `build --output`.

use std::path::PathBuf;

use super::pairs;
use crate::exit::Failure;

/// Where the result of a build goes besides the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputSettings {
    /// In which form.
    pub(crate) format: OutputFormat,
    /// To where.
    pub(crate) target: OutputTarget,
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

impl OutputSettings {
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
        for (key, value) in pairs::members("--output", text)? {
            match key.as_str() {
                "type" => kind = Some(value),
                "dest" | "output" => dest = Some(value),
                "name" => names.extend(value.split(',').map(str::to_owned)),
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
            Some(other) => {
                return Err(wrong(&format!(
                    "type={other} is not supported (docker, oci, tar, local, image)"
                )));
            }
            None => return Err(wrong("type= is missing")),
        };
        Self::checked(format, dest.as_deref(), stdout_is_terminal, wrong).map(|o| (o, names))
    }

    fn checked(
        format: OutputFormat,
        dest: Option<&str>,
        stdout_is_terminal: bool,
        wrong: impl Fn(&str) -> Failure,
    ) -> Result<Self, Failure> {
        let target = match (format, dest) {
            (OutputFormat::Image, None) => OutputTarget::Store,
            (OutputFormat::Image, Some(_)) => return Err(wrong("type=image has no dest=")),
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
        Ok(Self { format, target })
    }
}

#[cfg(test)]
mod tests {
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
            ("type=registry", None),
            ("dest=x", None),
            ("type=tar,dest=x,rewrite-timestamp=true", None),
        ] {
            let got = OutputSettings::parse(text, false).ok().map(|(o, _)| (o.format, o.target));
            assert_eq!(got, want, "{text}");
        }
        assert!(OutputSettings::parse("type=tar", true).is_err(), "an archive on a terminal");
    }
}
