//! Upper and lower case: keywords, `AS`, and the names of stages together with their uses.

use std::collections::HashSet;

use super::edits::Finder;
use crate::instruction::{From, Instruction, Kind, Stage};
use crate::lint::{Majority, Rule};
use crate::source::{Span, Spanned, Text, offset};

/// The keyword, and for FROM the `AS` that follows it.
pub(super) fn keyword_case<K: MaybeFrom>(
    finder: &mut Finder<'_>,
    instruction: &Instruction<K>,
    majority: Majority,
) {
    let (line, keyword) = (instruction.lines.first, &instruction.keyword);
    let mut final_keyword = keyword.value.clone();
    if finder.warned(Rule::ConsistentInstructionCasing, line) && finder.is_plain(keyword) {
        final_keyword = match majority {
            Majority::Lower => keyword.value.to_lowercase(),
            Majority::Upper => keyword.value.to_uppercase(),
        };
        finder.edit(Rule::ConsistentInstructionCasing, line, keyword.span, final_keyword.clone());
    }
    let Some(name) = instruction.kind.as_from().and_then(|from| from.name.as_ref()) else { return };
    let recased = final_keyword != keyword.value;
    if !(recased || finder.warned(Rule::FromAsCasing, line)) || !finder.is_plain(&name.keyword) {
        return;
    }
    let lower = !final_keyword.chars().any(char::is_uppercase);
    let text = if lower { "as" } else { "AS" };
    finder.edit(Rule::FromAsCasing, line, name.keyword.span, text);
}

/// What FROM has and other instructions have not.
pub(super) trait MaybeFrom {
    fn as_from(&self) -> Option<&From>;
}

impl MaybeFrom for From {
    fn as_from(&self) -> Option<&From> {
        Some(self)
    }
}

impl MaybeFrom for Kind {
    fn as_from(&self) -> Option<&From> {
        None
    }
}

/// The stages whose names have been put into lower case.
#[derive(Debug, Default)]
pub(super) struct StageUses {
    renamed: HashSet<String>,
}

/// `AS Name`.
pub(super) fn stage_name(finder: &mut Finder<'_>, from: &Instruction<From>, uses: &mut StageUses) {
    let (line, Some(name)) = (from.lines.first, &from.kind.name) else { return };
    if finder.warned(Rule::StageNameCasing, line) && finder.is_plain(&name.written) {
        finder.edit(Rule::StageNameCasing, line, name.written.span, name.lower.clone());
        uses.renamed.insert(name.lower.to_string());
    }
}

impl StageUses {
    /// Where a stage names an earlier one that has been renamed. Names are found whatever their case, so nothing
    /// depends on this; but a name that is written in two ways reads like two names.
    pub(super) fn rename(&self, finder: &mut Finder<'_>, stage: &Stage) {
        if self.renamed.is_empty() {
            return;
        }
        self.word(finder, stage.from.lines.first, &stage.from.kind.image, "");
        for instruction in &stage.instructions {
            let line = instruction.lines.first;
            match &instruction.kind {
                Kind::Copy(copy) => {
                    if let Some(from) = &copy.from {
                        self.word(finder, line, from, "--from=");
                    }
                }
                Kind::Run(run) => {
                    for mount in &run.mounts {
                        let fields = mount.fields.iter().filter(|field| field.key == "from");
                        for value in fields.filter_map(|field| field.value.as_deref()) {
                            self.field(finder, line, mount.span, value);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn word(&self, finder: &mut Finder<'_>, line: u32, word: &Spanned<Text>, flag: &str) {
        let lower = word.as_str().to_lowercase();
        if !self.renamed.contains(&lower) {
            return;
        }
        let written = finder.source.slice(word.span);
        if written == word.value {
            finder.edit(Rule::StageNameCasing, line, word.span, lower);
        } else if written.strip_prefix(flag) == Some(&word.value) {
            finder.edit(Rule::StageNameCasing, line, word.span, format!("{flag}{lower}"));
        }
    }

    fn field(&self, finder: &mut Finder<'_>, line: u32, flag: Span, value: &str) {
        let lower = value.to_lowercase();
        let text = format!("from={value}");
        let written = finder.source.slice(flag);
        let ends = |at: usize| written[at + text.len()..].chars().next().is_none_or(|next| next == ',');
        let begins = |at: usize| matches!(written[..at].chars().next_back(), Some(',' | '='));
        let mut places = written.match_indices(&text).filter(|(at, _)| begins(*at) && ends(*at));
        let (Some((at, _)), None, true) = (places.next(), places.next(), self.renamed.contains(&lower))
        else {
            return;
        };
        let start = flag.start + offset(at);
        let span = Span { start, end: start + offset(text.len()) };
        finder.edit(Rule::StageNameCasing, line, span, format!("from={lower}"));
    }
}
