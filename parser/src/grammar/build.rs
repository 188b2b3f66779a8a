//! From a [`Statement`] to an instruction.

use super::copy::{self, Words};
use super::flags::Flags;
use super::statement::{Arguments, KEYWORDS, Statement, Verb};
use super::{from, health, meta, onbuild, run};
use crate::diagnostic::Diagnostic;
use crate::instruction::{
    Cmd, Entrypoint, Env, From, Heredoc, Kind, Label, Maintainer, Stopsignal, User, Workdir,
};
use crate::lines::Logical;
use crate::suggest::with_suggestion;

/// FROM, which opens a stage, and the others, which are in one.
#[derive(Debug)]
pub(crate) enum Built {
    From(From),
    Other(Kind),
}

/// Checks a statement. Errors have a place in the line where there is one, but neither lines nor a prefix.
pub(crate) fn build(
    line: &Logical<'_>,
    statement: Statement<'_>,
    heredocs: &[Heredoc],
) -> Result<Built, Diagnostic> {
    let Some(verb) = statement.verb else { return Err(unknown(line, statement.keyword)) };
    let Statement { flags, text, arguments, .. } = statement;
    let flags = flags.as_slice();
    let none = || Flags::check(line, flags, &[]).map(drop);
    let words = |list| Words::new(line, list, line.span(text));
    let kind = match (verb, arguments) {
        (Verb::From, Arguments::Words(words)) => {
            return from::from(line, flags, &words).map(Built::From);
        }
        (Verb::Run, Arguments::Command(command)) => {
            Kind::Run(run::run(line, flags, meta::command(line, command))?)
        }
        (Verb::Copy, Arguments::List(list)) => {
            Kind::Copy(Box::new(copy::copy(line, flags, words(list), heredocs)?))
        }
        (Verb::Add, Arguments::List(list)) => {
            Kind::Add(Box::new(copy::add(line, flags, words(list), heredocs)?))
        }
        (Verb::Cmd, Arguments::Command(command)) => {
            none()?;
            Kind::Cmd(Cmd { command: meta::command(line, command) })
        }
        (Verb::Entrypoint, Arguments::Command(command)) => {
            none()?;
            Kind::Entrypoint(Entrypoint { command: meta::command(line, command) })
        }
        (Verb::Shell, Arguments::Command(command)) => Kind::Shell(meta::shell(line, flags, command)?),
        (Verb::Env, Arguments::Pairs { pairs, legacy }) => {
            Kind::Env(Env { pairs: meta::pairs(line, flags, &pairs, "ENV")?, legacy })
        }
        (Verb::Label, Arguments::Pairs { pairs, legacy }) => {
            Kind::Label(Label { pairs: meta::pairs(line, flags, &pairs, "LABEL")?, legacy })
        }
        (Verb::Arg, Arguments::Words(words)) => Kind::Arg(meta::arg(line, &words)?),
        (Verb::Expose, Arguments::Words(words)) => Kind::Expose(meta::expose(line, flags, &words)?),
        (Verb::Volume, Arguments::List(list)) => {
            Kind::Volume(meta::volume(line, flags, list, line.span(text))?)
        }
        (Verb::User, Arguments::Text(text)) => {
            Kind::User(User { user: meta::text(line, flags, text, "USER")? })
        }
        (Verb::Workdir, Arguments::Text(text)) => {
            Kind::Workdir(Workdir { path: meta::text(line, flags, text, "WORKDIR")? })
        }
        (Verb::Maintainer, Arguments::Text(text)) => {
            Kind::Maintainer(Maintainer { name: meta::text(line, flags, text, "MAINTAINER")? })
        }
        (Verb::Stopsignal, Arguments::Text(text)) => {
            Kind::Stopsignal(Stopsignal { signal: meta::text(line, &[], text, "STOPSIGNAL")? })
        }
        (Verb::Healthcheck, Arguments::Check(kind, command)) => {
            let command = meta::command(line, command);
            Kind::Healthcheck(health::healthcheck(line, flags, kind, command)?)
        }
        (Verb::Onbuild, Arguments::Trigger { keyword, .. }) => {
            Kind::Onbuild(onbuild::onbuild(line, flags, keyword, heredocs)?)
        }
        (verb, arguments) => unreachable!("{verb:?} is never split into {arguments:?}"),
    };
    Ok(Built::Other(kind))
}

fn unknown(line: &Logical<'_>, keyword: &str) -> Diagnostic {
    let names = KEYWORDS.iter().map(|(name, _)| *name);
    let message = with_suggestion(format!("unknown instruction: {keyword}"), keyword, names, false);
    Diagnostic::new(message).at(line.span(keyword))
}
