//! `ENV name value` and `LABEL name value`.

use super::edits::Finder;
use crate::instruction::{Instruction, Pair};
use crate::lint::Rule;
use crate::parse::parse;
use crate::source::Span;

/// Puts `=` between name and value, and quotes around a value with blanks. A value that has blanks and also quotes or
/// escapes of its own is left: there, several ways to write it are as good.
pub(super) fn legacy(finder: &mut Finder<'_>, instruction: &Instruction, pairs: &[Pair]) {
    let line = instruction.lines.first;
    let [Pair { name, value }] = pairs else { return };
    if !finder.warned(Rule::LegacyKeyValueFormat, line) {
        return;
    }
    let gap = Span { start: name.span.end, end: value.span.start };
    let escape = finder.file.escape.char();
    let between = finder.source.slice(gap);
    let only_blanks = between.chars().all(|c| c.is_whitespace() || c == escape);
    if value.value.is_empty() || !only_blanks || !finder.is_plain(name) {
        return;
    }
    let has_blanks = value.value.contains(char::is_whitespace);
    if has_blanks && value.value.contains(['\'', '"', escape]) {
        return;
    }
    let quote = if has_blanks { "\"" } else { "" };
    let wanted = format!("{quote}{}{quote}", value.value);
    if !reads_as(finder, instruction, name.as_str(), &wanted) {
        return;
    }
    let rule = Rule::LegacyKeyValueFormat;
    finder.edit(rule, line, gap, format!("={quote}"));
    let end = Span { start: value.span.end, end: value.span.end };
    finder.edit(rule, line, end, quote);
}

/// Whether `name=value` is read as just that. The name is expanded in this form, in the old one it was, too; but
/// quotes and words are found in a different way.
fn reads_as(finder: &Finder<'_>, instruction: &Instruction, name: &str, value: &str) -> bool {
    use crate::instruction::Kind;
    let directive = format!("# escape={}\n", finder.file.escape.char());
    let text = format!("{directive}FROM x\n{} {name}={value}\n", instruction.keyword.value);
    let parsed = parse(text.as_bytes());
    let read = parsed.dockerfile.stages.first().and_then(|stage| match stage.instructions.as_slice() {
        [only] => match &only.kind {
            Kind::Env(env) if !env.legacy => Some(&env.pairs),
            Kind::Label(label) if !label.legacy => Some(&label.pairs),
            _ => None,
        },
        _ => None,
    });
    let same = |pair: &Pair| pair.name.value == name && pair.value.value == value;
    parsed.errors.is_empty() && read.is_some_and(|pairs| matches!(pairs.as_slice(), [pair] if same(pair)))
}
