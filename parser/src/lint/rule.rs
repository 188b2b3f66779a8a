//! The checks, as they are named and explained to people.

use serde::{Serialize, Serializer};

/// A check. The names are BuildKit's, and people write them into `# check=skip=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`Rule::description` explains each of them")]
pub enum Rule {
    StageNameCasing,
    FromAsCasing,
    NoEmptyContinuation,
    ConsistentInstructionCasing,
    DuplicateStageName,
    ReservedStageName,
    JSONArgsRecommended,
    MaintainerDeprecated,
    UndefinedArgInFrom,
    WorkdirRelativePath,
    UndefinedVar,
    MultipleInstructionsDisallowed,
    LegacyKeyValueFormat,
    InvalidBaseImagePlatform,
    RedundantTargetPlatform,
    SecretsUsedInArgOrEnv,
    InvalidDefaultArgInFrom,
    FromPlatformFlagConstDisallowed,
    CopyIgnoredFile,
    InvalidDefinitionDescription,
    ExposeProtoCasing,
    ExposeInvalidFormat,
}

impl Rule {
    /// Its name: case-sensitive.
    pub fn name(self) -> &'static str {
        self.texts().0
    }

    /// What it is about.
    pub fn description(self) -> &'static str {
        self.texts().1
    }

    /// Where it is explained at length; one rule has no page.
    pub fn url(self) -> Option<String> {
        if self == Self::InvalidBaseImagePlatform {
            return None;
        }
        let mut kebab = String::new();
        let name = self.name().as_bytes();
        for (at, &byte) in name.iter().enumerate() {
            let starts_word = byte.is_ascii_uppercase()
                && at > 0
                && (name[at - 1].is_ascii_lowercase()
                    || name.get(at + 1).is_some_and(u8::is_ascii_lowercase));
            if starts_word {
                kebab.push('-');
            }
            kebab.push(char::from(byte.to_ascii_lowercase()));
        }
        Some(format!("https://docs.docker.com/go/dockerfile/rule/{kebab}/"))
    }

    /// Experimental checks are made only if `experimental=` asks for them.
    pub fn is_experimental(self) -> bool {
        self == Self::InvalidDefinitionDescription
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::StageNameCasing => ("StageNameCasing", "Stage names should be lowercase"),
            Self::FromAsCasing => {
                ("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword")
            }
            Self::NoEmptyContinuation => {
                ("NoEmptyContinuation", "Empty continuation lines will become errors in a future release")
            }
            Self::ConsistentInstructionCasing => (
                "ConsistentInstructionCasing",
                "All commands within the Dockerfile should use the same casing (either upper or lower)",
            ),
            Self::DuplicateStageName => ("DuplicateStageName", "Stage names should be unique"),
            Self::ReservedStageName => {
                ("ReservedStageName", "Reserved words should not be used as stage names")
            }
            Self::JSONArgsRecommended => (
                "JSONArgsRecommended",
                "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
            ),
            Self::MaintainerDeprecated => (
                "MaintainerDeprecated",
                "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
            ),
            Self::UndefinedArgInFrom => ("UndefinedArgInFrom", "FROM command must use declared ARGs"),
            Self::WorkdirRelativePath => (
                "WorkdirRelativePath",
                "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
            ),
            Self::UndefinedVar => ("UndefinedVar", "Variables should be defined before their use"),
            Self::MultipleInstructionsDisallowed => (
                "MultipleInstructionsDisallowed",
                "Multiple instructions of the same type should not be used in the same stage",
            ),
            Self::LegacyKeyValueFormat => (
                "LegacyKeyValueFormat",
                "Legacy key/value format with whitespace separator should not be used",
            ),
            Self::InvalidBaseImagePlatform => {
                ("InvalidBaseImagePlatform", "Base image platform does not match expected target platform")
            }
            Self::RedundantTargetPlatform => (
                "RedundantTargetPlatform",
                "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
            ),
            Self::SecretsUsedInArgOrEnv => {
                ("SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands")
            }
            Self::InvalidDefaultArgInFrom => (
                "InvalidDefaultArgInFrom",
                "Default value for global ARG results in an empty or invalid base image name",
            ),
            Self::FromPlatformFlagConstDisallowed => {
                ("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value")
            }
            Self::CopyIgnoredFile => {
                ("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore")
            }
            Self::InvalidDefinitionDescription => (
                "InvalidDefinitionDescription",
                "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
            ),
            Self::ExposeProtoCasing => {
                ("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase")
            }
            Self::ExposeInvalidFormat => (
                "ExposeInvalidFormat",
                "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
            ),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
