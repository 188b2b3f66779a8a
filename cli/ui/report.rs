//! An error about a Dockerfile, with the lines that it is about.
//!
//! ```text
//! Dockerfile:3
//! --------------------
//!    1 |     FROM scratch
//!    2 |
//!    3 | >>> COPY --frm=x a b
//!      |          ^^^^^
//! --------------------
//! ERROR: failed to solve: dockerfile parse error on line 3: unknown flag: --frm (did you mean from?)
//! ```
//!
//! The first line, the dashes and `>>>` are BuildKit's, because editors and CI services look for them (spec
//! 10.1); the marks below the line are ours.

use std::fmt::Write as _;
use std::ops::Range;

use rbuild_parser::{ExcerptLine, LineRange, Source, excerpt};
use serde_json::{Value, json};

use super::Style;
use super::log::{harmless, quoted};

/// What went wrong in a build.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// At least one mistake; the first is the one that other builders would report.
    pub(crate) problems: Vec<Problem>,
    /// Title of the step that failed, and the end of its output.
    pub(crate) step: Option<(String, Vec<u8>)>,
}

/// One mistake.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problem {
    /// The message, without prefix.
    pub(crate) message: String,
    /// Where.
    pub(crate) place: Option<Place>,
    /// What can be done.
    pub(crate) help: Option<String>,
}

/// Lines of a Dockerfile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// Name of the file, as it is shown.
    pub(crate) file: String,
    /// Its whole text.
    pub(crate) text: String,
    /// First and last line, from 1.
    pub(crate) lines: (u32, u32),
    /// Further lines that are marked, in file order.
    pub(crate) also: Vec<(u32, u32)>,
    /// The bytes of the text that are meant.
    pub(crate) span: Option<Range<usize>>,
}

impl Report {
    /// One mistake without a place.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { message: message.into(), ..Problem::default() }], step: None }
    }

    /// For people.
    pub(crate) fn text(&self, style: Style) -> String {
        let mut out = String::new();
        if let Some((title, log)) = &self.step {
            let _ = write!(out, "------\n > {}:\n{}", quoted(title), harmless(log, style.has_color()));
            if !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str("------\n");
        }
        for problem in &self.problems {
            if let Some(place) = &problem.place {
                out.push_str(&place.excerpt(style));
            }
            let _ = writeln!(out, "{} failed to solve: {}", style.error("ERROR:"), quoted(&problem.message));
            if let Some(help) = &problem.help {
                let _ = writeln!(out, "{} {}", style.hint("help:"), quoted(help));
            }
        }
        out
    }

    /// For programs, one object a mistake (see [`super::json`]).
    pub(crate) fn objects(&self) -> Vec<Value> {
        let mut objects: Vec<Value> = self.problems.iter().map(Problem::object).collect();
        if let (Some(first), Some((_, log))) = (objects.first_mut(), &self.step) {
            first["log"] = String::from_utf8_lossy(log).into();
        }
        objects
    }
}

impl Problem {
    fn object(&self) -> Value {
        let mut object = json!({"type": "error", "message": format!("failed to solve: {}", self.message)});
        if let Some(place) = &self.place {
            object["file"] = place.file.clone().into();
            object["line"] = place.lines.0.into();
            object["end_line"] = place.lines.1.into();
            if !place.also.is_empty() {
                let range = |(first, last): &(u32, u32)| json!({"line": first, "end_line": last});
                object["also"] = place.also.iter().map(range).collect();
            }
        }
        if let Some(help) = &self.help {
            object["help"] = help.clone().into();
        }
        object
    }
}

impl Place {
    /// The lines, marked, with some context. Nothing if the file has no such lines.
    pub(crate) fn excerpt(&self, style: Style) -> String {
        let first = self.lines.0;
        let source = Source::new(self.text.as_bytes());
        let ranges: Vec<LineRange> = std::iter::once(&self.lines)
            .chain(&self.also)
            .map(|&(first, last)| LineRange { first, last })
            .collect();
        let shown = excerpt(&source, &ranges);
        let mut out = String::new();
        if shown.is_empty() {
            return out;
        }
        let _ = writeln!(out, "{}:{first}\n--------------------", self.file);
        for ExcerptLine { number, marked, text } in shown {
            let text = text.strip_suffix('\r').unwrap_or(text);
            let arrows = if marked { style.error(">>>") } else { "   ".to_owned() };
            let _ = writeln!(out, " {number:3} | {arrows} {}", quoted(text));
            if marked && let Some(marks) = self.marks(number, text) {
                let _ = writeln!(out, "     |     {}", style.error(&marks));
            }
        }
        out.push_str("--------------------\n");
        out
    }

    /// The line of `^` for the part of the span that lies in this line. None if that part is the whole line,
    /// which the arrows say already.
    fn marks(&self, number: u32, line: &str) -> Option<String> {
        let span = self.span.as_ref()?;
        let above = self.text.split('\n').take(number as usize - 1);
        let start: usize = above.map(|line| line.len() + 1).sum();
        let from = span.start.max(start) - start;
        let to = span.end.min(start + line.len()).checked_sub(start)?;
        if from >= to || line[..from.min(line.len())].trim().is_empty() && to == line.len() {
            return None;
        }
        // Tabs stay tabs, so that the marks stand below what they mark.
        let indent: String = line.get(..from)?.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        Some(indent + &"^".repeat(line.get(from..to)?.chars().count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "FROM scratch\n\nCOPY --frm=x a b\nRUN a \\\n  b\n";

    fn excerpt(lines: (u32, u32), span: Option<Range<usize>>) -> String {
        let place = Place { file: "Dockerfile".into(), text: TEXT.into(), lines, also: Vec::new(), span };
        place.excerpt(Style::new(false))
    }

    #[test]
    fn one_line_with_its_span() {
        let start = TEXT.find("--frm").expect("it is there");
        assert_eq!(
            excerpt((3, 3), Some(start..start + 5)),
            "Dockerfile:3\n--------------------\n   1 |     FROM scratch\n   2 |     \n   3 | >>> COPY --frm=x a b\n     \
             |          ^^^^^\n   4 |     RUN a \\\n   5 |       b\n--------------------\n"
        );
    }

    #[test]
    fn a_dockerfile_moves_no_cursor() {
        let place = Place {
            file: "Dockerfile".into(),
            text: "RUN \x1b[2J\n".into(),
            lines: (1, 1),
            ..Place::default()
        };
        let report = Report {
            problems: vec![Problem { message: "no \x1b[1A".into(), place: Some(place), help: None }],
            step: Some(("RUN \x1b[2J".into(), Vec::new())),
        };
        assert!(!report.text(Style::new(false)).contains('\x1b'));
    }

    #[test]
    fn several_lines() {
        assert_eq!(
            excerpt((4, 5), None),
            "Dockerfile:4\n--------------------\n   3 |     COPY --frm=x a b\n   4 | >>> RUN a \\\n   5 | >>>   b\n   6 \
             |     \n--------------------\n"
        );
    }

    #[test]
    fn lines_with_others_between_them() {
        let place = Place {
            file: "Dockerfile".into(),
            text: "FROM a AS b\nENV x=y\nCOPY --from=c / /\nFROM b AS c\n".into(),
            lines: (3, 3),
            also: vec![(4, 4)],
            span: None,
        };
        let text = place.excerpt(Style::new(false));
        for line in ["Dockerfile:3\n", " 2 |     ENV", " 3 | >>> COPY", " 4 | >>> FROM b"] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn a_span_that_is_the_whole_line_needs_no_marks() {
        assert!(!excerpt((1, 1), Some(0..12)).contains('^'));
        assert!(excerpt((1, 1), Some(5..12)).contains("     |          ^^^^^^^\n"));
    }

    #[test]
    fn places_outside_of_the_text_are_left_out() {
        assert_eq!(excerpt((0, 0), None), "");
        assert_eq!(excerpt((99, 99), Some(1000..2000)), "");
        assert!(excerpt((1, 1), Some(1000..2000)).contains(">>> FROM"));
    }

    #[test]
    fn objects() {
        let place = Place {
            file: "Dockerfile".into(),
            text: TEXT.into(),
            lines: (4, 5),
            also: Vec::new(),
            span: None,
        };
        let problem = Problem { message: "no".into(), place: Some(place), help: Some("try".into()) };
        let report =
            Report { problems: vec![problem], step: Some(("[1/1] RUN x".into(), b"out\n".to_vec())) };
        assert_eq!(
            report.objects(),
            [json!({"type": "error", "message": "failed to solve: no", "file": "Dockerfile", "line": 4,
                    "end_line": 5, "help": "try", "log": "out\n"})]
        );
    }
}
