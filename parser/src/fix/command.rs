//! `CMD program argument` as a JSON array.

use super::edits::Finder;
use crate::instruction::{Command, Instruction, Kind, Stage};
use crate::lint::Rule;

/// Words that only a shell understands (POSIX.1-2017, XCU 2.4 and 2.14), or that mean something else to it.
const SHELL_WORDS: [&str; 50] = [
    ".", ":", "[", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "declare", "do",
    "done", "elif", "else", "esac", "eval", "exec", "exit", "export", "fg", "fi", "for", "function",
    "getopts", "hash", "if", "in", "jobs", "let", "local", "read", "readonly", "return", "set", "shift",
    "source", "test", "then", "times", "trap", "type", "ulimit", "umask", "unalias", "unset", "until",
    "wait", "while",
];

/// Where a shell would do nothing but start the program. CMD and ENTRYPOINT of one stage depend on each other's
/// form: where both are there, nothing is changed.
pub(super) fn exec_form(
    finder: &mut Finder<'_>,
    stage: &Stage,
    instruction: &Instruction,
    command: &Command,
) {
    let line = instruction.lines.first;
    let Command::Shell(text) = command else { return };
    if !finder.warned(Rule::JSONArgsRecommended, line)
        || !finder.is_plain(text)
        || has_other(finder, stage, instruction)
    {
        return;
    }
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, ' ' | '_' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '-' | '=')
    };
    let words: Vec<&str> = text.value.split(' ').filter(|word| !word.is_empty()).collect();
    let Some(program) = words.first().filter(|program| !program.contains('=')) else { return };
    if !text.value.chars().all(plain) || SHELL_WORDS.contains(program) {
        return;
    }
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    finder.edit(Rule::JSONArgsRecommended, line, text.span, format!("[{}]", quoted.join(", ")));
}

fn has_other(finder: &Finder<'_>, stage: &Stage, instruction: &Instruction) -> bool {
    let is_other = |kind: &Kind| match instruction.kind {
        Kind::Cmd(_) => matches!(kind, Kind::Entrypoint(_)),
        _ => matches!(kind, Kind::Cmd(_)),
    };
    // What an earlier stage has is inherited.
    let image = stage.from.kind.image.value.to_lowercase();
    let named = |other: &Stage| other.from.kind.name.as_ref().is_some_and(|name| name.lower == image);
    let inherits = image.contains('$') || finder.file.stages.iter().any(named);
    inherits || stage.instructions.iter().any(|each| is_other(&each.kind))
}
