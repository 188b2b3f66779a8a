//! `rbuild build --check`: what should be written differently, and with `--fix` the writing of it.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rbuild_builder::error::{Located, Problem};
use rbuild_builder::examine::{Examined, Findings};
use rbuild_image::store::Store;
use rbuild_parser::fix::{self, Edit};
use rbuild_parser::lint::Warning;
use rbuild_parser::{LineRange, Source};
use serde_json::{Value, json};

use super::failure;
use crate::args::CheckFormat;
use crate::exit::{Exit, FAILURE, Failure, Outcome};
use crate::ui::{self, Place, Report, Style};

/// Checks, with `fix` after rewriting the file. Exit code 1 if anything is left to be said.
pub(super) fn run(
    mut examined: Examined,
    store: &Store,
    format: CheckFormat,
    fix: bool,
    style: Style,
) -> Outcome {
    let mut findings = examined.check(store);
    if fix && let Some(text) = rewrite(&examined, &findings, style)? {
        examined.reread(text.into_bytes());
        findings = examined.check(store);
    }
    let text = match format {
        CheckFormat::Text => for_people(&examined, &findings, style),
        CheckFormat::Json => for_programs(&examined, &findings),
    };
    ui::print(&text)?;
    let clean = findings.warnings.is_empty() && findings.problems.is_empty();
    Ok(if clean { Exit::OK } else { Exit(FAILURE) })
}

/// Rewrites the file where there is one way to write it; gives the new text.
fn rewrite(examined: &Examined, findings: &Findings, style: Style) -> Result<Option<String>, Failure> {
    let Some(path) = &examined.path else {
        return Err(Failure::usage("--fix: the Dockerfile does not come from a file"));
    };
    let Some(fixed) = fix::fix(&examined.file.text, &findings.warnings) else { return Ok(None) };
    replace(path, &fixed.text)?;
    let mut places: Vec<_> = fixed.edits.iter().map(|edit| (edit.line, edit.rule.name())).collect();
    places.sort_unstable();
    places.dedup();
    for (line, rule) in places {
        ui::warn(&format!("fixed {rule} in {}:{line}", examined.file.name), style);
    }
    Ok(Some(fixed.text))
}

/// Puts a new file in the place of the old one, which stays whole until then.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("write {}: {e}", path.display()));
    let path = path.canonicalize().map_err(failed)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".rbuild-fix");
    let mode = path.metadata().map_err(failed)?.permissions();
    std::fs::write(&name, text)
        .and_then(|()| std::fs::set_permissions(&name, mode))
        .and_then(|()| std::fs::rename(&name, &path))
        .inspect_err(|_| drop(std::fs::remove_file(&name)))
        .map_err(failed)
}

/// Each warning with its lines, and what to write instead (spec 9.4).
fn for_people(examined: &Examined, findings: &Findings, style: Style) -> String {
    let source = Source::new(&examined.file.text);
    let edits = fix::edits(&source, &examined.parsed.dockerfile, &findings.warnings);
    let mut out = String::new();
    for warning in &findings.warnings {
        let url = warning.rule.url().map(|url| format!(" - {url}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "\n{} {}{url}\n{}",
            style.warning("WARNING:"),
            warning.rule.name(),
            warning.message
        );
        out.push_str(&place(examined, warning.lines).excerpt(style));
        out.push_str(&instead(&source, &edits, warning, style));
    }
    if findings.problems.is_empty() {
        let count = findings.warnings.len();
        match count {
            0 => out.push_str("Check complete, no warnings found.\n"),
            1 => out.push_str("\nCheck complete, 1 warning has been found!\n"),
            _ => out.push_str(&format!("\nCheck complete, {count} warnings have been found!\n")),
        }
        return out;
    }
    out + &report(examined, &findings.problems).text(style)
}

fn instead(source: &Source<'_>, edits: &[Edit], warning: &Warning, style: Style) -> String {
    match fix::rewritten(source, edits, warning) {
        Some(text) => {
            let lines = text.lines().map(|line| format!("             {line}\n")).collect::<String>();
            format!("{} write (--fix does it):\n{lines}", style.hint("help:"))
        }
        None => format!("{} {}\n", style.hint("help:"), warning.rule.advice()),
    }
}

fn place(examined: &Examined, lines: LineRange) -> Place {
    Place {
        file: examined.file.name.clone(),
        text: String::from_utf8_lossy(&examined.file.text).into_owned(),
        lines: (lines.first, lines.last),
        also: Vec::new(),
        span: None,
    }
}

fn report(examined: &Examined, problems: &[Problem]) -> Report {
    let located = Located { file: examined.file.clone(), problems: problems.to_vec(), step: None };
    failure::located(&located)
}

/// Lines as buildx has them: a whole line is from character 0 to character 0.
fn location(lines: LineRange) -> Value {
    let at = |line: u32| json!({"line": line, "character": 0});
    json!({"sourceIndex": 0, "ranges": [{"start": at(lines.first), "end": at(lines.last)}]})
}

/// `warnings`, and `buildError` if it cannot be built. Beside our own members stand those of buildx's
/// `--call=check,format=json`, so that what reads that can read this: `ruleName`, `detail`, `location`, and `sources`,
/// whose first is the Dockerfile.
fn for_programs(examined: &Examined, findings: &Findings) -> String {
    let warning = |warning: &Warning| {
        json!({
            "rule": warning.rule.name(), "line": warning.lines.first, "message": warning.message,
            "endLine": warning.lines.last, "description": warning.rule.description(),
            "url": warning.rule.url().unwrap_or_default(), "advice": warning.rule.advice(),
            "ruleName": warning.rule.name(), "detail": warning.message, "location": location(warning.lines),
        })
    };
    let mut report = json!({
        "file": examined.file.name,
        "warnings": findings.warnings.iter().map(warning).collect::<Vec<Value>>(),
        "sources": [{
            "filename": examined.file.name, "language": "Dockerfile",
            "data": BASE64_STANDARD.encode(&examined.file.text),
        }],
    });
    let problem = |problem: &Problem| {
        let mut value = json!({"message": problem.message});
        if let Some(lines) = problem.lines {
            value["line"] = lines.first.into();
            value["endLine"] = lines.last.into();
            value["location"] = location(lines);
        }
        if !problem.also.is_empty() {
            let range = |lines: &LineRange| json!({"line": lines.first, "endLine": lines.last});
            value["also"] = problem.also.iter().map(range).collect();
        }
        value
    };
    if let Some(first) = findings.problems.first() {
        report["buildError"] = problem(first);
        report["errors"] = findings.problems.iter().map(problem).collect();
    }
    format!("{report:#}\n")
}
