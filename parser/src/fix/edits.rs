//! Which bytes to replace by what.

use std::collections::HashSet;

use super::casing::{StageUses, keyword_case, stage_name};
use super::{command, pairs};
use crate::instruction::{Dockerfile, Expose, From, Instruction, Kind, Maintainer, Stage};
use crate::lint::{Majority, Rule, Warning};
use crate::source::{Source, Span, Spanned, Text, offset};

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The check that asks for it.
    pub rule: Rule,
    /// First line of the instruction that the check warned about.
    pub line: u32,
    /// What is replaced, in the source's text.
    pub span: Span,
    /// By what.
    pub text: String,
}

/// The edits that these warnings ask for, in file order. They do not overlap. Warnings without a mechanical answer
/// have none; so have those about places that are written in a way that leaves a choice.
#[must_use]
pub fn edits(source: &Source<'_>, file: &Dockerfile, warnings: &[Warning]) -> Vec<Edit> {
    let majority = Majority::of(file);
    let warned = warnings.iter().map(|warning| (warning.rule, warning.lines.first)).collect();
    let mut finder = Finder { source, file, warned, edits: Vec::new() };
    let mut uses = StageUses::default();
    for arg in &file.global_args {
        finder.empty_lines(arg);
    }
    for stage in &file.stages {
        uses.rename(&mut finder, stage);
        finder.from(&stage.from, majority);
        for instruction in &stage.instructions {
            finder.instruction(stage, instruction, majority);
        }
        stage_name(&mut finder, &stage.from, &mut uses);
    }
    finder.finish()
}

/// Collects the edits of one file.
pub(super) struct Finder<'f> {
    pub(super) source: &'f Source<'f>,
    pub(super) file: &'f Dockerfile,
    warned: HashSet<(Rule, u32)>,
    edits: Vec<Edit>,
}

impl Finder<'_> {
    /// Whether a check warned about the instruction that begins at this line.
    pub(super) fn warned(&self, rule: Rule, line: u32) -> bool {
        self.warned.contains(&(rule, line))
    }

    pub(super) fn edit(&mut self, rule: Rule, line: u32, span: Span, text: impl Into<String>) {
        let text = text.into();
        if self.source.slice(span) != text {
            self.edits.push(Edit { rule, line, span, text });
        }
    }

    /// Whether a word stands in the source just as it was read: in one piece, without quotes or escapes.
    pub(super) fn is_plain(&self, word: &Spanned<Text>) -> bool {
        self.source.slice(word.span) == word.value
    }

    fn from(&mut self, from: &Instruction<From>, majority: Majority) {
        self.empty_lines(from);
        keyword_case(self, from, majority);
        let line = from.lines.first;
        if let Some(platform) = &from.kind.platform
            && self.warned(Rule::RedundantTargetPlatform, line)
            && let Some(span) = self.whole_flag(platform, "--platform=")
        {
            self.edit(Rule::RedundantTargetPlatform, line, span, "");
        }
    }

    /// A flag without quotes, and the blanks behind it.
    fn whole_flag(&self, value: &Spanned<Text>, name: &str) -> Option<Span> {
        let text = self.source.text();
        let end = value.span.end as usize;
        let start = if self.is_plain(value) {
            (value.span.start as usize).checked_sub(name.len())?
        } else {
            value.span.start as usize
        };
        let written = text.get(start..end)?;
        if written.strip_prefix(name) != Some(&value.value) {
            return None;
        }
        let rest = &text[end..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        (blanks > 0).then(|| Span { start: offset(start), end: offset(end + blanks) })
    }

    fn instruction(&mut self, stage: &Stage, instruction: &Instruction, majority: Majority) {
        self.empty_lines(instruction);
        let line = instruction.lines.first;
        match &instruction.kind {
            Kind::Maintainer(maintainer) if self.warned(Rule::MaintainerDeprecated, line) => {
                return self.maintainer(instruction, maintainer, majority);
            }
            Kind::Env(env) if env.legacy => pairs::legacy(self, instruction, &env.pairs),
            Kind::Label(label) if label.legacy => pairs::legacy(self, instruction, &label.pairs),
            Kind::Expose(expose) => self.expose(line, expose),
            Kind::Cmd(cmd) => command::exec_form(self, stage, instruction, &cmd.command),
            Kind::Entrypoint(entrypoint) => {
                command::exec_form(self, stage, instruction, &entrypoint.command);
            }
            _ => {}
        }
        keyword_case(self, instruction, majority);
    }

    fn maintainer(
        &mut self,
        instruction: &Instruction,
        Maintainer { name }: &Maintainer,
        majority: Majority,
    ) {
        let (line, keyword) = (instruction.lines.first, &instruction.keyword);
        if !self.is_plain(name) || !self.is_plain(keyword) || name.value.contains(['\r', '\n']) {
            return;
        }
        let lower = match self.warned(Rule::ConsistentInstructionCasing, line) {
            true => majority == Majority::Lower,
            false => keyword.value.chars().all(char::is_lowercase),
        };
        // The name was taken literally; a label is expanded.
        let escape = self.file.escape.char();
        let mut value = String::new();
        for c in name.value.chars() {
            if c == '"' || c == '$' || c == escape {
                value.push(escape);
            }
            value.push(c);
        }
        let label = if lower { "label" } else { "LABEL" };
        let text = format!("{label} org.opencontainers.image.authors=\"{value}\"");
        self.edit(Rule::MaintainerDeprecated, line, keyword.span.to(name.span), text);
    }

    fn expose(&mut self, line: u32, expose: &Expose) {
        if !self.warned(Rule::ExposeProtoCasing, line) {
            return;
        }
        for port in &expose.ports {
            if let Some((number, protocol)) = port.value.rsplit_once('/')
                && self.is_plain(port)
                && protocol.bytes().all(|byte| byte.is_ascii_alphabetic())
            {
                let text = format!("{number}/{}", protocol.to_lowercase());
                self.edit(Rule::ExposeProtoCasing, line, port.span, text);
            }
        }
    }

    /// Blank lines between the lines of an instruction, which are passed over anyway.
    fn empty_lines<K>(&mut self, instruction: &Instruction<K>) {
        let Some(first) = instruction.empty_continuation else { return };
        if !self.warned(Rule::NoEmptyContinuation, instruction.lines.last) {
            return;
        }
        let body = instruction.heredocs.first().map(|heredoc| self.source.position(heredoc.span.start).0);
        let last = body.map_or(instruction.lines.last, |body| body - 1);
        let mut at = self.line_start(first);
        for number in first..=last {
            let Some(line) = self.source.line(number) else { return };
            let end = (at + line.len() + 1).min(self.source.text().len());
            if line.trim().is_empty() {
                let span = Span { start: offset(at), end: offset(end) };
                self.edit(Rule::NoEmptyContinuation, instruction.lines.last, span, "");
            }
            at = end;
        }
    }

    fn line_start(&self, number: u32) -> usize {
        let line = self.source.line(number).unwrap_or_default();
        (line.as_ptr() as usize).saturating_sub(self.source.text().as_ptr() as usize)
    }

    /// In file order, without those that would change what another one changes.
    fn finish(self) -> Vec<Edit> {
        let mut edits = self.edits;
        edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        let mut kept: Vec<Edit> = Vec::with_capacity(edits.len());
        for edit in edits {
            if kept.last().is_none_or(|last| last.span.end <= edit.span.start) {
                kept.push(edit);
            }
        }
        kept
    }
}
