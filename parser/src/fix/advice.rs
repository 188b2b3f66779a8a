//! What to write instead, in words.

use crate::lint::Rule;

impl Rule {
    /// What to do about it, in a sentence fragment.
    pub fn advice(self) -> &'static str {
        match self {
            Self::StageNameCasing => "write the name of the stage in lower case",
            Self::FromAsCasing => "write `AS` in the case of `FROM`",
            Self::NoEmptyContinuation => "remove the empty line, or put a comment there",
            Self::ConsistentInstructionCasing => "write all keywords in the same case",
            Self::DuplicateStageName => "give each stage a name of its own",
            Self::ReservedStageName => {
                "choose another name: this one means something else in FROM or COPY --from"
            }
            Self::JSONArgsRecommended => {
                "write the program and its arguments as a JSON array, so that signals reach it; or declare the shell with SHELL"
            }
            Self::MaintainerDeprecated => "use LABEL org.opencontainers.image.authors=\"...\"",
            Self::UndefinedArgInFrom => "declare it with ARG before the first FROM",
            Self::WorkdirRelativePath => "begin with an absolute path",
            Self::UndefinedVar => "declare it with ARG or ENV in this stage, before it is used",
            Self::MultipleInstructionsDisallowed => "remove all but the last one",
            Self::LegacyKeyValueFormat => "write name=value, with quotes around a value with blanks",
            Self::InvalidBaseImagePlatform => "build with --platform, or choose an image of this platform",
            Self::RedundantTargetPlatform => "leave --platform out",
            Self::SecretsUsedInArgOrEnv => {
                "pass it with RUN --mount=type=secret: arguments and variables stay in the image"
            }
            Self::InvalidDefaultArgInFrom => "give the ARG a default that makes a valid image name",
            Self::FromPlatformFlagConstDisallowed => {
                "use a variable such as $BUILDPLATFORM, or name the stage after the platform"
            }
            Self::CopyIgnoredFile => "copy something else, or change .dockerignore",
            Self::InvalidDefinitionDescription => {
                "begin the comment with the name, or put an empty line below it"
            }
            Self::ExposeProtoCasing => "write the protocol in lower case",
            Self::ExposeInvalidFormat => {
                "name only the port of the container; addresses belong to `run --publish`"
            }
        }
    }
}
