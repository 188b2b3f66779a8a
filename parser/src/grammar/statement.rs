//! Keyword, flags and arguments of a line.

use super::flags::{Flag, extract};
use super::json::{JsonOr, array};
use super::words;
use crate::diagnostic::Diagnostic;
use crate::go::quote;
use crate::instruction::Escape;
use crate::lines::Logical;

/// The instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

/// All keywords, in alphabetical order.
pub(crate) const KEYWORDS: [(&str, Verb); 18] = [
    ("ADD", Verb::Add),
    ("ARG", Verb::Arg),
    ("CMD", Verb::Cmd),
    ("COPY", Verb::Copy),
    ("ENTRYPOINT", Verb::Entrypoint),
    ("ENV", Verb::Env),
    ("EXPOSE", Verb::Expose),
    ("FROM", Verb::From),
    ("HEALTHCHECK", Verb::Healthcheck),
    ("LABEL", Verb::Label),
    ("MAINTAINER", Verb::Maintainer),
    ("ONBUILD", Verb::Onbuild),
    ("RUN", Verb::Run),
    ("SHELL", Verb::Shell),
    ("STOPSIGNAL", Verb::Stopsignal),
    ("USER", Verb::User),
    ("VOLUME", Verb::Volume),
    ("WORKDIR", Verb::Workdir),
];

impl Verb {
    fn of(keyword: &str) -> Option<Self> {
        KEYWORDS.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(keyword)).map(|(_, verb)| verb)
    }

    /// Whether `<<` means something.
    fn takes_heredocs(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}

/// A line, split.
#[derive(Debug)]
pub(crate) struct Statement<'l> {
    /// As written.
    pub(crate) keyword: &'l str,
    /// None for an unknown keyword.
    pub(crate) verb: Option<Verb>,
    pub(crate) flags: Vec<Flag<'l>>,
    /// Everything behind the flags.
    pub(crate) text: &'l str,
    pub(crate) arguments: Arguments<'l>,
}

/// The arguments, split as the instruction wants it.
#[derive(Debug)]
pub(crate) enum Arguments<'l> {
    /// Of an unknown instruction.
    Ignored,
    /// FROM, EXPOSE, ARG.
    Words(Vec<&'l str>),
    /// COPY, ADD, VOLUME.
    List(JsonOr<Vec<&'l str>>),
    /// RUN, CMD, ENTRYPOINT, SHELL.
    Command(JsonOr<&'l str>),
    /// HEALTHCHECK: type and command.
    Check(&'l str, JsonOr<&'l str>),
    /// ENV, LABEL.
    Pairs { pairs: Vec<(&'l str, &'l str)>, legacy: bool },
    /// MAINTAINER, STOPSIGNAL, USER, WORKDIR.
    Text(&'l str),
    /// ONBUILD: the keyword of its trigger, and whether it can have heredocs.
    Trigger { keyword: &'l str, heredocs: bool },
}

impl Statement<'_> {
    /// Whether heredocs are looked for.
    pub(crate) fn takes_heredocs(&self) -> bool {
        match &self.arguments {
            Arguments::Trigger { heredocs, .. } => *heredocs,
            Arguments::List(JsonOr::Json(_)) | Arguments::Command(JsonOr::Json(_)) => false,
            _ => self.verb.is_some_and(Verb::takes_heredocs),
        }
    }
}

/// Splits a line.
pub(crate) fn read<'l>(line: &'l Logical<'_>, escape: Escape) -> Result<Statement<'l>, Diagnostic> {
    let mut statement = head(&line.text, escape);
    let place = |text: &'l str| move |error: Diagnostic| error.at(line.span(text));
    if statement.verb != Some(Verb::Onbuild) {
        statement.arguments = arguments(&statement, escape).map_err(place(statement.text))?;
        return Ok(statement);
    }
    let mut trigger = head(statement.text, escape);
    let keyword = trigger.keyword;
    let mut depth = 0;
    // A chain is refused later, but what is wrong at its end is found first.
    while trigger.verb == Some(Verb::Onbuild) {
        trigger = head(trigger.text, escape);
        depth += 1;
    }
    trigger.arguments = arguments(&trigger, escape).map_err(place(trigger.text))?;
    let heredocs = depth == 0 && trigger.takes_heredocs();
    statement.arguments = Arguments::Trigger { keyword, heredocs };
    Ok(statement)
}

fn head(text: &str, escape: Escape) -> Statement<'_> {
    let text = text.trim();
    let (keyword, rest) = words::split_once(text).unwrap_or((text, &text[text.len()..]));
    let (flags, arguments) = extract(rest, escape);
    let verb = Verb::of(keyword);
    Statement { keyword, verb, flags, text: arguments.trim(), arguments: Arguments::Ignored }
}

fn arguments<'l>(statement: &Statement<'l>, escape: Escape) -> Result<Arguments<'l>, Diagnostic> {
    let text = statement.text;
    let Some(verb) = statement.verb else { return Ok(Arguments::Ignored) };
    Ok(match verb {
        Verb::From | Verb::Expose => Arguments::Words(words::split(text)),
        Verb::Arg => Arguments::Words(words::quoted(text, escape).collect()),
        Verb::Copy | Verb::Add | Verb::Volume => Arguments::List(match array(text)? {
            Some(elements) => JsonOr::Json(elements),
            None => JsonOr::Other(words::split(text)),
        }),
        Verb::Run | Verb::Cmd | Verb::Entrypoint | Verb::Shell => Arguments::Command(command(text)?),
        Verb::Healthcheck => {
            let end = text.find(|c: char| c.is_ascii_whitespace() || c == '\u{b}').unwrap_or(text.len());
            Arguments::Check(&text[..end], command(text[end..].trim_start())?)
        }
        Verb::Env => pairs(text, "ENV", escape)?,
        Verb::Label => pairs(text, "LABEL", escape)?,
        Verb::Maintainer | Verb::Stopsignal | Verb::User | Verb::Workdir => Arguments::Text(text),
        Verb::Onbuild => Arguments::Ignored,
    })
}

fn command(text: &str) -> Result<JsonOr<&str>, Diagnostic> {
    Ok(array(text)?.map_or(JsonOr::Other(text), JsonOr::Json))
}

/// `name=value name=value`, or `name value`.
fn pairs<'l>(text: &'l str, keyword: &str, escape: Escape) -> Result<Arguments<'l>, Diagnostic> {
    let mut words = words::quoted(text, escape).peekable();
    if words.peek().is_some_and(|first| !first.contains('=')) {
        let Some(pair) = words::split_once(text) else {
            return Err(Diagnostic::new(format!("{keyword} must have two arguments")));
        };
        return Ok(Arguments::Pairs { pairs: vec![pair], legacy: true });
    }
    let split = |word: &'l str| {
        word.split_once('=').ok_or_else(|| {
            let word = quote(word);
            let form = "Must be of the form: name=value";
            Diagnostic::new(format!("Syntax error - can't find = in {word}. {form}"))
        })
    };
    let pairs = words.map(split).collect::<Result<_, _>>()?;
    Ok(Arguments::Pairs { pairs, legacy: false })
}
