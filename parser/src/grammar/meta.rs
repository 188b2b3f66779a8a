//! The instructions that only say something about the image.

use super::flags::{Flag, Flags};
use super::json::JsonOr;
use crate::diagnostic::Diagnostic;
use crate::instruction::{Arg, ArgDeclaration, Command, Expose, Pair, Shell, Volume};
use crate::lines::Logical;
use crate::source::{Span, Spanned, Text};

pub(super) fn at_least_one(keyword: &str) -> Diagnostic {
    Diagnostic::new(format!("{keyword} requires at least one argument"))
}

fn blank_name(keyword: &str) -> Diagnostic {
    Diagnostic::new(format!("{keyword} names can not be blank"))
}

pub(super) fn command(line: &Logical<'_>, command: JsonOr<&str>) -> Command {
    match command {
        JsonOr::Json(arguments) => Command::Exec(arguments),
        JsonOr::Other(text) => Command::Shell(line.spanned(text)),
    }
}

/// ENV and LABEL.
pub(super) fn pairs(
    line: &Logical<'_>,
    flags: &[Flag<'_>],
    pairs: &[(&str, &str)],
    keyword: &str,
) -> Result<Vec<Pair>, Diagnostic> {
    Flags::check(line, flags, &[])?;
    if pairs.is_empty() {
        return Err(at_least_one(keyword));
    }
    // A file has many of these, and collecting results would leave most of each list unused.
    let mut read = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        if name.is_empty() {
            return Err(blank_name(keyword).at(line.span(name)));
        }
        read.push(Pair { name: line.spanned(name), value: line.spanned(value) });
    }
    Ok(read)
}

/// ARG, which takes any flag.
pub(super) fn arg(line: &Logical<'_>, words: &[&str]) -> Result<Arg, Diagnostic> {
    if words.is_empty() {
        return Err(at_least_one("ARG"));
    }
    let mut declarations = Vec::with_capacity(words.len());
    for word in words {
        declarations.push(match word.split_once('=') {
            None => ArgDeclaration { name: line.spanned(word), default: None },
            Some(("", _)) => return Err(blank_name("ARG").at(line.span(word))),
            Some((name, value)) => {
                ArgDeclaration { name: line.spanned(name), default: Some(line.spanned(value)) }
            }
        });
    }
    Ok(Arg { declarations })
}

/// MAINTAINER, USER, WORKDIR; STOPSIGNAL, which takes any flag, passes none.
pub(super) fn text(
    line: &Logical<'_>,
    flags: &[Flag<'_>],
    text: &str,
    keyword: &str,
) -> Result<Spanned<Text>, Diagnostic> {
    if text.is_empty() {
        return Err(Diagnostic::new(format!("{keyword} requires exactly one argument")));
    }
    Flags::check(line, flags, &[])?;
    Ok(line.spanned(text))
}

pub(super) fn expose(line: &Logical<'_>, flags: &[Flag<'_>], words: &[&str]) -> Result<Expose, Diagnostic> {
    if words.is_empty() {
        return Err(at_least_one("EXPOSE"));
    }
    Flags::check(line, flags, &[])?;
    Ok(Expose { ports: words.iter().map(|word| line.spanned(word)).collect() })
}

pub(super) fn volume(
    line: &Logical<'_>,
    flags: &[Flag<'_>],
    list: JsonOr<Vec<&str>>,
    span: Span,
) -> Result<Volume, Diagnostic> {
    let (paths, json) = match list {
        JsonOr::Json(elements) => {
            let trimmed = |element: String| Spanned::new(element.trim().into(), span);
            (elements.into_iter().map(trimmed).collect::<Vec<_>>(), true)
        }
        JsonOr::Other(words) => (words.into_iter().map(|word| line.spanned(word.trim())).collect(), false),
    };
    if paths.is_empty() {
        return Err(at_least_one("VOLUME"));
    }
    Flags::check(line, flags, &[])?;
    match paths.iter().find(|path| path.value.is_empty()) {
        None => Ok(Volume { paths, json }),
        Some(blank) => Err(Diagnostic::new("VOLUME specified can not be an empty string").at(blank.span)),
    }
}

pub(super) fn shell(
    line: &Logical<'_>,
    flags: &[Flag<'_>],
    command: JsonOr<&str>,
) -> Result<Shell, Diagnostic> {
    Flags::check(line, flags, &[])?;
    match command {
        JsonOr::Json(command) if !command.is_empty() => Ok(Shell { command }),
        JsonOr::Json(_) | JsonOr::Other("") => Err(at_least_one("SHELL")),
        JsonOr::Other(text) => {
            let error = Diagnostic::new("SHELL requires the arguments to be in JSON form");
            Err(error.at(line.span(text)).help("write SHELL [\"program\", \"argument\"]"))
        }
    }
}
