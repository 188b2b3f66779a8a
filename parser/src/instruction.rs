//! The tree that a Dockerfile is parsed into. Words that variables are expanded in later stay as written,
//! quotes included; everything else is decoded.

mod run;

use std::borrow::Cow;

use serde::Serialize;

pub use run::{Device, Field, Invocation, Mount, Network, Run, Security};

use crate::source::{LineRange, Span, Spanned, Text};

/// A file: what stands before the first FROM, and the stages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Dockerfile {
    /// The parser directives.
    pub directives: Directives,
    /// The escape character in effect.
    pub escape: Escape,
    /// The ARGs before the first FROM.
    pub global_args: Vec<Instruction<Arg>>,
    /// The stages in file order.
    pub stages: Vec<Stage>,
}

/// The escape character, which also continues lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize)]
pub enum Escape {
    /// `\`
    #[default]
    Backslash,
    /// `` ` ``
    Backtick,
}

impl Escape {
    /// The character itself.
    #[must_use]
    pub fn char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// The values of the parser directives, as far as given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Directives {
    /// `# syntax=`: the image of another frontend, up to its first space. rbuild has no use for it.
    pub syntax: Option<Spanned<Text>>,
    /// `# escape=`
    pub escape: Option<Spanned<Escape>>,
    /// `# check=`, up to its first space.
    pub check: Option<Spanned<Text>>,
}

/// FROM and what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its FROM.
    pub from: Instruction<From>,
    /// Everything up to the next FROM.
    pub instructions: Vec<Instruction>,
}

/// One instruction; `K` is what it says, and the rest is how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instruction<K = Kind> {
    /// What it says.
    pub kind: K,
    /// The keyword as written.
    pub keyword: Spanned<Text>,
    /// First to last line, heredoc bodies included.
    pub lines: LineRange,
    /// From the keyword to the end of the logical line, heredoc bodies not included.
    pub span: Span,
    /// The logical line: continuation lines joined, blanks at both ends removed.
    pub text: Text,
    /// The comments above it, since the last instruction or the last empty comment, without `#`.
    pub comments: Vec<Spanned<Text>>,
    /// The heredocs in the order of their bodies.
    pub heredocs: Vec<Heredoc>,
    /// The first blank line among its continuation lines. (BuildKit's warning is about [`Self::lines`]`.last`.)
    pub empty_continuation: Option<u32>,
}

impl<K> Instruction<K> {
    /// The same place in the text, saying something else.
    pub fn with<L>(self, kind: L) -> Instruction<L> {
        self.split().1.join(kind)
    }

    /// Takes apart what it says and how it is written.
    pub(crate) fn split(self) -> (K, Instruction<()>) {
        let Self { kind, keyword, lines, span, text, comments, heredocs, empty_continuation } = self;
        let rest =
            Instruction { kind: (), keyword, lines, span, text, comments, heredocs, empty_continuation };
        (kind, rest)
    }
}

impl Instruction<()> {
    /// The reverse of [`Instruction::split`].
    pub(crate) fn join<K>(self, kind: K) -> Instruction<K> {
        let Self { kind: (), keyword, lines, span, text, comments, heredocs, empty_continuation } = self;
        Instruction { kind, keyword, lines, span, text, comments, heredocs, empty_continuation }
    }
}

/// A heredoc of RUN, COPY, ADD, or of ONBUILD with one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heredoc {
    /// The delimiter, unquoted.
    pub name: String,
    /// True unless the delimiter is quoted.
    pub expand: bool,
    /// `<<-`: leading tabs of each line do not count.
    pub strip_tabs: bool,
    /// The number before `<<`; 0 if there is none.
    pub fd: u32,
    /// The body as written, newlines included, tabs not removed.
    pub body: String,
    /// Where the body is.
    pub span: Span,
}

impl Heredoc {
    /// The body, without leading tabs if that is asked for.
    #[must_use]
    pub fn content(&self) -> Cow<'_, str> {
        if self.strip_tabs { Cow::Owned(strip_tabs(&self.body)) } else { Cow::Borrowed(&self.body) }
    }
}

/// Removes the leading tabs of each line.
pub(crate) fn strip_tabs(body: &str) -> String {
    body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are those of the language")]
pub enum Kind {
    Add(Box<Add>),
    Arg(Arg),
    Cmd(Cmd),
    Copy(Box<Copy>),
    Entrypoint(Entrypoint),
    Env(Env),
    Expose(Expose),
    Healthcheck(Healthcheck),
    Label(Label),
    Maintainer(Maintainer),
    Onbuild(Onbuild),
    Run(Run),
    Shell(Shell),
    Stopsignal(Stopsignal),
    User(User),
    Volume(Volume),
    Workdir(Workdir),
}

impl Kind {
    /// The keyword in upper case.
    #[must_use]
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::Stopsignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// `FROM [--platform=P] IMAGE [AS NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct From {
    /// The image or stage, as written.
    pub image: Spanned<Text>,
    /// `--platform`, as written.
    pub platform: Option<Spanned<Text>>,
    /// `AS NAME`
    pub name: Option<StageName>,
}

/// `AS NAME`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageName {
    /// `AS`, as written.
    pub keyword: Spanned<Text>,
    /// The name, as written. Names are compared in lower case: [`StageName::lower`].
    pub written: Spanned<Text>,
    /// The name in lower case.
    pub lower: Text,
}

/// A command line of RUN, CMD, ENTRYPOINT or HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Command {
    /// Text for the shell, possibly empty.
    Shell(Spanned<Text>),
    /// A JSON array: the program and its arguments, possibly none at all.
    Exec(Vec<String>),
}

/// `COPY`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// Sources and destination.
    pub paths: Paths,
    /// `--from`; variables are not allowed in it, which is found out later.
    pub from: Option<Spanned<Text>>,
    /// `--chown`
    pub chown: Option<Spanned<Text>>,
    /// `--chmod`
    pub chmod: Option<Spanned<Text>>,
    /// `--link`
    pub link: Option<bool>,
    /// `--parents`
    pub parents: Option<bool>,
    /// `--exclude`, in order.
    pub exclude: Vec<Spanned<Text>>,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Add {
    /// Sources and destination.
    pub paths: Paths,
    /// `--chown`
    pub chown: Option<Spanned<Text>>,
    /// `--chmod`
    pub chmod: Option<Spanned<Text>>,
    /// `--link`
    pub link: Option<bool>,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<bool>,
    /// `--checksum`
    pub checksum: Option<Spanned<Text>>,
    /// `--unpack`
    pub unpack: Option<bool>,
    /// `--exclude`, in order.
    pub exclude: Vec<Spanned<Text>>,
}

/// Sources and destination of COPY and ADD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Paths {
    /// In the order written. (Heredocs are processed after everything else.)
    pub sources: Vec<PathSource>,
    /// As written.
    pub dest: Spanned<Text>,
    /// True if they are written as a JSON array.
    pub json: bool,
}

/// A source of COPY and ADD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum PathSource {
    /// A path, pattern or URL, as written.
    Path(Spanned<Text>),
    /// A heredoc. Of two with the same name, both have the second body.
    Heredoc {
        /// The delimiter: the name of the file.
        name: String,
        /// Whether variables are expanded.
        expand: bool,
        /// The body, without leading tabs where it should be.
        content: String,
        /// The word `<<NAME`, as written.
        word: Spanned<Text>,
    },
}

/// `ENV`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Env {
    /// The variables in order.
    pub pairs: Vec<Pair>,
    /// `ENV name value`
    pub legacy: bool,
}

/// `LABEL`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The labels in order.
    pub pairs: Vec<Pair>,
    /// `LABEL name value`
    pub legacy: bool,
}

/// `name=value`, both as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Never empty, though it can expand to nothing.
    pub name: Spanned<Text>,
    /// Possibly empty.
    pub value: Spanned<Text>,
}

/// `ARG`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arg {
    /// At least one.
    pub declarations: Vec<ArgDeclaration>,
}

/// `name[=default]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArgDeclaration {
    /// Taken literally.
    pub name: Spanned<Text>,
    /// As written.
    pub default: Option<Spanned<Text>>,
}

/// `CMD`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cmd {
    /// What to run.
    pub command: Command,
}

/// `ENTRYPOINT`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entrypoint {
    /// What to run.
    pub command: Command,
}

/// `SHELL ["program", "argument"]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shell {
    /// At least one.
    pub command: Vec<String>,
}

/// `EXPOSE`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expose {
    /// At least one, as written and in the order written. (They are processed sorted by bytes.)
    pub ports: Vec<Spanned<Text>>,
}

/// `VOLUME`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// At least one, as written, none of them blank.
    pub paths: Vec<Spanned<Text>>,
    /// True if they are written as a JSON array.
    pub json: bool,
}

/// `USER`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// As written.
    pub user: Spanned<Text>,
}

/// `WORKDIR`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workdir {
    /// As written.
    pub path: Spanned<Text>,
}

/// `STOPSIGNAL`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stopsignal {
    /// As written.
    pub signal: Spanned<Text>,
}

/// `MAINTAINER`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Maintainer {
    /// Taken literally.
    pub name: Spanned<Text>,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK CMD`
    Cmd {
        /// Never an empty [`Command::Exec`].
        command: Command,
        /// The flags.
        timing: Timing,
    },
}

/// Flags of HEALTHCHECK: durations in nanoseconds, 0 where not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize)]
#[expect(missing_docs, reason = "the names are those of the language")]
pub struct Timing {
    pub interval: i64,
    pub timeout: i64,
    pub start_period: i64,
    pub start_interval: i64,
    pub retries: i32,
}

/// `ONBUILD`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Onbuild {
    /// What the image stores: the logical line without ONBUILD, heredocs appended. Not validated any
    /// further until [`parse_trigger`](crate::parse_trigger) reads it.
    pub trigger: String,
}
