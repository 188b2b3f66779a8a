//! `rbuild explain`: why the steps of a build ran, or did not.

use std::fmt::Write as _;

use rbuild_builder::explain::{
    BuildId, BuildRecord, Change, Explained, Outcome as Ended, Status, StepReport, Verdict, explain, find,
};
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;

use super::age::since;
use crate::args::{ExplainArgs, ExplainFormat};
use crate::exit::{Exit, Failure, Outcome};
use crate::ui;

/// Changed files that are listed; the others are counted.
const FILES_SHOWN: usize = 20;

/// Prints the explanation.
pub(crate) fn run(args: &ExplainArgs, store: &Store) -> Outcome {
    let explained = explain(store, &build(store, &args.build)?)?;
    match args.format {
        ExplainFormat::Text => ui::print(&text(&explained))?,
        ExplainFormat::Json => ui::print(&format!("{}\n", serde_json::to_string(&explained)?))?,
    }
    Ok(Exit::OK)
}

/// The build that somebody means.
pub(crate) fn build(store: &Store, text: &str) -> Result<BuildRecord, Failure> {
    find(store, text)?.ok_or_else(|| match text {
        "last" => Failure::new("no build is recorded in this store"),
        _ => Failure::new(format!("no build is recorded of {text:?}"))
            .with_hint("images that were loaded or imported were not built here"),
    })
}

/// The explanation of a build that has just ended. That it is not known is no reason to fail.
pub(super) fn of_build(store: &Store, id: &BuildId, json: bool) -> String {
    let build = BuildRecord::load(store, id.as_str()).ok().flatten();
    let explained = build.and_then(|build| explain(store, &build).ok());
    explained.map(|explained| if json { object(&explained) } else { text(&explained) }).unwrap_or_default()
}

/// A line among those of `--progress=json`.
fn object(explained: &Explained) -> String {
    let mut object = serde_json::json!(explained);
    object["type"] = "explain".into();
    format!("{object}\n")
}

fn text(explained: &Explained) -> String {
    let ended = match explained.outcome {
        Ended::Done => "",
        Ended::Failed => ", which failed",
        Ended::Interrupted => ", which was interrupted",
    };
    let ago = since(Some(explained.started), Timestamp::now()).to_lowercase();
    let mut out = format!("build {} of {}, {ago}{ended}\n", explained.build, explained.dockerfile);
    let several = explained.steps.windows(2).any(|two| two[0].platform != two[1].platform);
    for step in &explained.steps {
        let platform = if several { format!("{} ", step.platform) } else { String::new() };
        let status = match step.status {
            Status::Cached => "cached",
            Status::Ran => "ran",
            Status::Failed => "failed",
            Status::Cancelled => "ended early",
            Status::Waiting => "not begun",
        };
        let _ = writeln!(
            out,
            "\n#{} {platform}{} line {}: {}\n  {status}{}",
            step.step,
            step.stage,
            step.line,
            step.instruction,
            time(step)
        );
        if let Some(place) = &step.elsewhere {
            let _ = writeln!(out, "  its files are still in {place}: nothing here has needed them");
        }
        if step.status == Status::Failed && matches!(step.verdict, Verdict::NotReached) {
            let _ = writeln!(out, "  before all that it depends on was found, so the cache was not asked");
        }
        verdict(&step.verdict, &mut out);
    }
    out
}

fn time(step: &StepReport) -> String {
    let seconds = std::time::Duration::from_millis(step.millis).as_secs_f64();
    match step.status {
        Status::Ran => format!(" in {seconds:.1}s"),
        Status::Cached => format!(", which saved {seconds:.1}s"),
        _ => String::new(),
    }
}

fn verdict(verdict: &Verdict, out: &mut String) {
    let _ = match verdict {
        Verdict::Same | Verdict::NotReached => Ok(()),
        Verdict::NoCache => writeln!(out, "  because the cache was not to be used (--no-cache)"),
        Verdict::Lost { since } => {
            writeln!(out, "  because its result of build {since} is not in the store any more")
        }
        Verdict::New { nearest: None } => {
            writeln!(out, "  because it was never built before, nor anything like it")
        }
        Verdict::New { nearest: Some(nearest) } => {
            let what =
                nearest.instruction.as_deref().unwrap_or("a step of a build that is not known any more");
            let _ = writeln!(out, "  because it was never built before; the nearest is: {what}");
            changes(&nearest.changes, out);
            Ok(())
        }
        Verdict::Changed { since, dockerfile, changes: found } => {
            let of = dockerfile.as_ref().map(|path| format!(" of {path}")).unwrap_or_default();
            let _ = writeln!(out, "  because of what changed since build {since}{of}");
            changes(found, out);
            Ok(())
        }
    };
}

fn changes(changes: &[Change], out: &mut String) {
    for change in changes {
        let _ = writeln!(out, "  - {change}");
        let Change::Files { files: Some(files), .. } = change else { continue };
        for file in files.changes.iter().take(FILES_SHOWN) {
            let _ = writeln!(out, "      {file}");
        }
        if files.changes.len() > FILES_SHOWN {
            let _ = writeln!(out, "      and {} more", files.changes.len() - FILES_SHOWN);
        }
    }
}
