//! What an expectation says, and what came: the differences as lines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Differences between two images in the words of an expectation.
pub(super) fn images(want: &Value, got: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for key in ["os", "architecture", "variant", "author", "created", "base_layers", "base_history"] {
        if want[key] != got[key] {
            out.push(expected(key, &want[key], &got[key]));
        }
    }
    configs(&want["config"], &got["config"], &mut out);
    if want.get("tags").is_some() && want["tags"] != got["tags"] {
        out.push(expected("tags", &want["tags"], &got["tags"]));
    }
    histories(list(&want["history"]), list(&got["history"]), &mut out);
    layers(list(&want["layers"]), list(&got["layers"]), &mut out);
    files(list(&want["rootfs"]), list(&got["rootfs"]), &mut out);
    let (gone, found) = (list(&want["removed"]), list(&got["removed"]));
    if gone != found {
        out.push(format!("removed from the base: expected {gone:?}, got {found:?}"));
    }
    out
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn expected(what: &str, want: &Value, got: &Value) -> String {
    format!("{what}: expected {want}, got {got}")
}

fn keys<'v>(a: &'v Value, b: &'v Value) -> BTreeSet<&'v str> {
    [a, b].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys().map(String::as_str)).collect()
}

fn configs(want: &Value, got: &Value, out: &mut Vec<String>) {
    for key in keys(want, got) {
        if want[key] != got[key] {
            out.push(expected(&format!("config.{key}"), &want[key], &got[key]));
        }
    }
}

/// An entry of the history without the builder's signature.
fn unsigned(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if entry["comment"].as_str().is_some_and(|comment| comment.ends_with(".dockerfile.v0"))
        && let Some(members) = entry.as_object_mut()
    {
        members.remove("comment");
    }
    entry
}

fn histories(want: &[Value], got: &[Value], out: &mut Vec<String>) {
    if want.len() != got.len() {
        out.push(format!("history: expected {} new entries, got {}", want.len(), got.len()));
    }
    for number in 0..want.len().max(got.len()) {
        let entry = |list: &[Value]| list.get(number).map_or(Value::Null, unsigned);
        let (want, got) = (entry(want), entry(got));
        if want != got {
            out.push(expected(&format!("history +{}", number + 1), &want, &got));
        }
    }
}

fn layers(want: &[Value], got: &[Value], out: &mut Vec<String>) {
    if want.len() != got.len() {
        out.push(format!("layers: expected {} new, got {}", want.len(), got.len()));
    }
    for (number, (want, got)) in want.iter().zip(got).enumerate() {
        let set = |layer| list(layer).iter().filter_map(Value::as_str).collect::<BTreeSet<_>>();
        let (want, got) = (set(want), set(got));
        if want != got {
            let missing: Vec<_> = want.difference(&got).collect();
            let extra: Vec<_> = got.difference(&want).collect();
            out.push(format!("layer +{}: missing {missing:?}, unexpected {extra:?}", number + 1));
        }
    }
}

fn files(want: &[Value], got: &[Value], out: &mut Vec<String>) {
    let by_path = |entries: &'_ [Value]| -> BTreeMap<String, Value> {
        entries.iter().map(|e| (e["path"].as_str().unwrap_or_default().to_owned(), e.clone())).collect()
    };
    let (want, got) = (by_path(want), by_path(got));
    for path in want.keys().chain(got.keys()).collect::<BTreeSet<_>>() {
        match (want.get(path), got.get(path)) {
            (Some(want), Some(got)) => file(path, want, got, out),
            (Some(want), None) => out.push(format!("/{path}: missing ({})", brief(want))),
            (_, got) => out.push(format!("/{path}: unexpected ({})", got.map_or_else(String::new, brief))),
        }
    }
}

fn brief(entry: &Value) -> String {
    let parts = ["type", "mode", "target", "size", "uid", "gid"].map(|key| match &entry[key] {
        Value::Null => String::new(),
        Value::String(text) => format!("{text} "),
        other => format!("{other} "),
    });
    parts.concat().trim_end().to_owned()
}

fn file(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    for key in ["type", "mode", "uid", "gid", "target", "device", "capability", "hardlink"] {
        if want[key] != got[key] {
            out.push(expected(&format!("/{path}: {key}"), &want[key], &got[key]));
        }
    }
    match (want.get("mtime"), got.get("mtime")) {
        (Some(want), Some(got)) if want == got => {}
        (Some(want), got) => out.push(format!("/{path}: mtime: expected {want}, got {}", time(got))),
        // Folders may have any time.
        (None, Some(got)) if want["type"] != "dir" => {
            out.push(format!("/{path}: mtime: expected the time of the build, got {got}"));
        }
        _ => {}
    }
    if want["sha256"] != got["sha256"] {
        contents(path, want, got, out);
    }
}

fn time(value: Option<&Value>) -> String {
    value.map_or_else(|| "the time of the build".to_owned(), Value::to_string)
}

fn contents(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    let (Some(a), Some(b)) = (want["text"].as_str(), got["text"].as_str()) else {
        let is = |entry: &Value| format!("{} bytes {}", entry["size"], entry["sha256"]);
        out.push(format!("/{path}: content: expected {}, got {}", is(want), is(got)));
        return;
    };
    out.push(format!("/{path}: content (- expected, + got):"));
    let (a, b): (Vec<_>, Vec<_>) = (a.split('\n').collect(), b.split('\n').collect());
    let (head, tail) = around(&a, &b);
    out.extend(a[head..a.len() - tail].iter().map(|line| format!("  -{line:?}")));
    out.extend(b[head..b.len() - tail].iter().map(|line| format!("  +{line:?}")));
}

/// How many lines are the same at the beginning and at the end.
fn around(a: &[&str], b: &[&str]) -> (usize, usize) {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let rest = a[head..].iter().rev().zip(b[head..].iter().rev());
    (head, rest.take_while(|(a, b)| a == b).count())
}

/// What a report of an error lacks: phrases, or the line.
pub(super) fn errors(want: &Value, stderr: &str, dockerfile: &str) -> Vec<String> {
    let text = said(stderr);
    let folded = text.to_lowercase();
    let phrases = list(&want["error"]["contains"]).iter().filter_map(Value::as_str);
    let missing = phrases.filter(|phrase| !folded.contains(&phrase.to_lowercase()));
    let mut out: Vec<_> = missing.map(|phrase| format!("error does not mention {phrase:?}")).collect();
    if let Some(line) = want["line"].as_u64()
        && !points_at(&text, line, dockerfile)
    {
        out.push(format!("error does not point at line {line}"));
    }
    if !out.is_empty() {
        out.push(format!("stderr ends with: {}", tail(stderr)));
    }
    out
}

/// Standard error without events of steps that worked, and the strings inside of its JSON once more, so that
/// quoting hides nothing.
fn said(stderr: &str) -> String {
    fn collect(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => *out += &format!("{text}\n"),
            Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
            Value::Object(members) => members.values().for_each(|member| collect(member, out)),
            _ => {}
        }
    }
    let mut out = String::new();
    for line in stderr.lines().filter(|line| !is_finished_step(line)) {
        out += &format!("{line}\n");
        if let Ok(value) = serde_json::from_str(line) {
            collect(&value, &mut out);
        }
    }
    out
}

fn event(line: &str) -> Option<Value> {
    serde_json::from_str::<Value>(line).ok().filter(|value| value["type"] == "step")
}

fn is_finished_step(line: &str) -> bool {
    event(line).is_some_and(|event| event["status"] != "failed")
}

fn points_at(text: &str, line: u64, dockerfile: &str) -> bool {
    let name = dockerfile.rsplit('/').next().unwrap_or(dockerfile);
    let number = line.to_string();
    let patterns =
        [format!("{name}:"), "line ".into(), "line: ".into(), "\"line\":".into(), "\"line\": ".into()];
    patterns.iter().any(|pattern| {
        text.match_indices(pattern.as_str()).any(|(at, found)| {
            let rest = &text[at + found.len()..];
            rest.strip_prefix(&number).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    })
}

/// The last lines that are no success.
pub(super) fn tail(stderr: &str) -> String {
    let lines: Vec<_> =
        stderr.lines().filter(|line| !line.trim().is_empty() && !is_finished_step(line)).collect();
    let shown =
        lines[lines.len().saturating_sub(4)..].iter().map(|line| line.chars().take(300).collect::<String>());
    shown.collect::<Vec<_>>().join(" / ")
}

/// Steps of a build in a sequence that came from the cache and should not have, or the other way round.
pub(super) fn steps(want: &Value, stderr: &str) -> Vec<String> {
    let mut status: BTreeMap<u64, String> = BTreeMap::new();
    for event in stderr.lines().filter_map(event) {
        let (Some(line), Some(new @ ("cached" | "done" | "failed"))) =
            (event["line"].as_u64(), event["status"].as_str())
        else {
            continue;
        };
        if status.get(&line).is_none_or(|old| old == "cached") {
            status.insert(line, new.to_owned());
        }
    }
    let mut out = Vec::new();
    for (label, accepted) in [("cached", &["cached"][..]), ("not_cached", &["done", "failed"])] {
        for step in list(&want[label]) {
            let got = step[0].as_u64().and_then(|line| status.get(&line)).map(String::as_str);
            if !got.is_some_and(|got| accepted.contains(&got)) {
                let label = label.replace('_', " ");
                out.push(format!(
                    "line {} ({}): expected {label}, got {}",
                    step[0],
                    step[1],
                    got.unwrap_or("no event")
                ));
            }
        }
    }
    out
}

/// Warnings by rule and line; the messages are each builder's own.
pub(super) fn warnings(want: &Value, got: &Value) -> Vec<String> {
    let mut counts: BTreeMap<(String, u64), i64> = BTreeMap::new();
    for (side, sign) in [(want, -1), (got, 1)] {
        for warning in list(side) {
            let key = (warning["rule"].to_string(), warning["line"].as_u64().unwrap_or_default());
            *counts.entry(key).or_default() += sign;
        }
    }
    let differing = counts.into_iter().filter(|(_, count)| *count != 0);
    let line = |((rule, line), count): ((String, u64), i64)| {
        format!("{} warning {rule} at line {line}", if count < 0 { "missing" } else { "unexpected" })
    };
    differing.map(line).collect()
}

#[cfg(test)]
mod tests;
