//! Reading a whole file.
//!
//! Errors come in two lists, as BuildKit finds them in two passes: those of the lexer, which have no prefix, and
//! those of instructions, which say `dockerfile parse error on line N`. The first one of the lexer's wins over all
//! of the others, even if it stands further down.

use crate::diagnostic::Diagnostic;
use crate::directive;
use crate::grammar::build::{Built, build};
use crate::grammar::heredoc::{Marker, markers};
use crate::grammar::statement::{self, Verb};
use crate::instruction::{Dockerfile, Escape, Heredoc, Instruction, Kind, Stage};
use crate::lines::{Lines, Logical};
use crate::source::{LineRange, Source, Spanned};

/// What became of a file.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// As much of it as could be understood: instructions with errors are left out, and so is everything
    /// that follows a FROM with errors up to the next FROM.
    pub dockerfile: Dockerfile,
    /// What is wrong. The first one is BuildKit's, the others follow in file order (those of the lexer
    /// before those of instructions). If there is one, the file can not be built.
    pub errors: Vec<Diagnostic>,
}

/// Parses a Dockerfile. Takes time in proportion to its length, and never panics.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    if bytes.is_empty() {
        let errors = vec![Diagnostic::new("the Dockerfile cannot be empty")];
        return Parsed { dockerfile: Dockerfile::default(), errors };
    }
    let source = Source::new(bytes);
    let mut stages = Stages::default();
    let read = read(source.text(), |item| stages.add(item));
    let Stages { mut dockerfile, mut errors, current } = stages;
    dockerfile.directives = directive::scan(&source);
    dockerfile.escape = read.escape.as_ref().map_or_else(Escape::default, |escape| escape.value);
    dockerfile.directives.escape = read.escape;
    let mut all = read.errors;
    all.append(&mut errors);
    if all.is_empty() && current == Current::None {
        all.push(Diagnostic::new("dockerfile contains no stages to build"));
    }
    Parsed { dockerfile, errors: all }
}

/// Parses an ONBUILD trigger as an image stores it. The escape character is `\`; places are places in the trigger.
///
/// # Errors
/// Whatever is wrong with it, in BuildKit's words and without a prefix; also if it is FROM, or not one
/// instruction but several.
pub fn parse_trigger(text: &str) -> Result<Instruction, Diagnostic> {
    let mut items = Vec::new();
    let read = read(text, |item| items.push(item));
    if let Some(error) = read.errors.into_iter().next() {
        return Err(error);
    }
    match (items.pop(), items.is_empty()) {
        (Some(item), true) => match item.built? {
            Built::Other(kind) => Ok(item.written.join(kind)),
            Built::From(_) => Err(Diagnostic::new("FROM isn't allowed as an ONBUILD trigger")),
        },
        _ => Err(Diagnostic::new("onbuild trigger should be a single expression")),
    }
}

/// An instruction that the lexer found nothing wrong with.
struct Item {
    written: Instruction<()>,
    is_from: bool,
    built: Result<Built, Diagnostic>,
}

/// What is left to know after all instructions were seen.
struct Read {
    escape: Option<Spanned<Escape>>,
    errors: Vec<Diagnostic>,
}

fn read(text: &str, mut see: impl FnMut(Item)) -> Read {
    let mut lines = Lines::new(text);
    let mut empty = true;
    while let Some(mut line) = lines.next_logical() {
        empty = false;
        let escape = lines.escape();
        let comments = std::mem::take(&mut line.comments);
        let lexed = statement::read(&line, escape).map_err(|error| error.at_lines(line.lines));
        let lexed = lexed.and_then(|statement| {
            let heredocs = match statement.takes_heredocs() && line.text.contains("<<") {
                true => heredocs(&mut lines, &line)?,
                false => Vec::new(),
            };
            Ok((statement, heredocs))
        });
        let (statement, heredocs) = match lexed {
            Ok(lexed) => lexed,
            Err(error) => {
                lines.errors.push(error);
                continue;
            }
        };
        let all = line.text.trim();
        let mut written = Instruction {
            kind: (),
            keyword: line.spanned(statement.keyword),
            lines: LineRange { first: line.lines.first, last: lines.last_line() },
            span: line.span(all),
            text: all.into(),
            comments,
            heredocs: Vec::new(),
            empty_continuation: line.empty_continuation,
        };
        let is_from = statement.verb == Some(Verb::From);
        let built = build(&line, statement, &heredocs).map_err(|mut error| {
            error.lines = Some(written.lines);
            error
        });
        written.heredocs = heredocs;
        see(Item { written, is_from, built });
    }
    if empty && lines.errors.is_empty() {
        let last = LineRange::line(lines.last_line().max(1));
        lines.errors.push(Diagnostic::new("file with no instructions").at_lines(last));
    }
    let errors = std::mem::take(&mut lines.errors);
    Read { escape: lines.into_escape(), errors }
}

/// Reads the bodies of the heredocs that a line announces.
fn heredocs(lines: &mut Lines<'_>, line: &Logical<'_>) -> Result<Vec<Heredoc>, Diagnostic> {
    let announced = markers(&line.text).map_err(|error| error.at_lines(line.lines))?;
    let mut found = Vec::with_capacity(announced.len());
    for Marker { name, expand, strip_tabs, fd } in announced {
        let Some((body, span)) = lines.body(&name, strip_tabs) else {
            let range = LineRange { first: line.lines.first, last: lines.last_line() };
            let help = format!("a line that is exactly {name} has to end it");
            return Err(Diagnostic::new("unterminated heredoc").at_lines(range).help(help));
        };
        found.push(Heredoc { name, expand, strip_tabs, fd, body: body.to_owned(), span });
    }
    Ok(found)
}

/// Where the next instruction belongs.
#[derive(Debug, Default, PartialEq, Eq)]
enum Current {
    /// Before the first FROM.
    #[default]
    None,
    /// The same, and one that does not belong there has been reported.
    Reported,
    /// The last stage.
    Stage,
    /// A stage whose FROM is wrong.
    Broken,
}

/// Puts instructions where they belong.
#[derive(Debug, Default)]
struct Stages {
    dockerfile: Dockerfile,
    errors: Vec<Diagnostic>,
    current: Current,
}

impl Stages {
    fn add(&mut self, item: Item) {
        let Item { written, is_from, built } = item;
        match built {
            Err(mut error) => {
                let line = written.lines.first;
                error.message = format!("dockerfile parse error on line {line}: {}", error.message);
                self.errors.push(error);
                if is_from {
                    self.current = Current::Broken;
                }
            }
            Ok(Built::From(from)) => {
                self.dockerfile.stages.push(Stage { from: written.join(from), instructions: Vec::new() });
                self.current = Current::Stage;
            }
            Ok(Built::Other(kind)) => self.instruction(written, kind),
        }
    }

    fn instruction(&mut self, written: Instruction<()>, kind: Kind) {
        match (&self.current, kind) {
            (Current::Broken, _) => {}
            (Current::Stage, kind) => {
                if let Some(stage) = self.dockerfile.stages.last_mut() {
                    stage.instructions.push(written.join(kind));
                }
            }
            (_, Kind::Arg(arg)) => self.dockerfile.global_args.push(written.join(arg)),
            (Current::None, _) => {
                let error = Diagnostic::new("no build stage in current context").at_lines(written.lines);
                let help = "only ARG can stand before the first FROM";
                self.errors.push(error.at(written.span).help(help));
                self.current = Current::Reported;
            }
            (Current::Reported, _) => {}
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
