//! The recorded cases, as far as they can be judged without building: configuration, history, errors, warnings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::*;
use crate::pattern::IgnorePatterns;

/// Cases whose error comes from building, not from planning.
const NOT_FOR_THE_PLAN: &[&str] = &[
    "err-add-checksum-wrong",
    "err-add-url-404",
    "err-chown-name-scratch",
    "err-copy-dir-onto-file",
    "err-copy-file-onto-dir",
    "err-copy-from-missing-path",
    "err-copy-ignored",
    "err-copy-missing",
    "err-copy-missing-one-of",
    "err-copy-wildcard-dir",
    "err-failed-in-dependency",
    "err-group-unknown",
    "err-ignore-pattern",
    "err-mount-missing-source",
    "err-no-dockerfile",
    "err-run-exec-missing",
    "err-run-exit",
    "err-run-signal",
    "err-secret-required",
    "err-user-unknown",
];

#[test]
fn recorded_cases() {
    let cases = std::env::var_os("RBUILD_CONFORMANCE_CASES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance/cases"),
        std::path::PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(&cases) else {
        println!("SKIP no conformance cases in {}", cases.display());
        return;
    };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut failures = Vec::new();
    let mut judged = 0;
    for name in &names {
        if NOT_FOR_THE_PLAN.contains(&name.as_str()) {
            continue;
        }
        if let Some(outcome) = judge(&cases.join(name)) {
            judged += 1;
            if let Err(difference) = outcome {
                failures.push(format!("{name}: {difference}"));
            }
        }
    }
    println!("{judged} of {} cases judged", names.len());
    assert!(failures.is_empty(), "{} of {judged} differ\n{}", failures.len(), failures.join("\n"));
}

/// None if the case says nothing about plans.
fn judge(case: &Path) -> Option<Result<(), String>> {
    let read =
        |name: &str| -> Option<Value> { serde_json::from_slice(&std::fs::read(case.join(name)).ok()?).ok() };
    let (description, expect) = (read("case.json")?, read("expect.json")?);
    if description.get("sequence").is_some() || description.get("http").is_some() {
        return None;
    }
    let prepares_dockerfile = description["prepare"]
        .as_array()
        .is_some_and(|operations| operations.iter().any(|each| each["path"].as_str() == Some("Dockerfile")));
    if prepares_dockerfile {
        return None;
    }
    let build = description.get("build").cloned().unwrap_or_else(|| json!({}));
    let file = std::fs::read(case.join(build["file"].as_str().unwrap_or("Dockerfile"))).ok()?;
    let options = case_options(case, &build);
    let expectations = match expect.get("any_of") {
        Some(any) => any.as_array()?.clone(),
        None => vec![expect],
    };
    let outcomes: Vec<Result<(), String>> =
        expectations.iter().filter_map(|expect| compare(&file, &options, expect)).collect();
    if outcomes.iter().any(Result::is_ok) { Some(Ok(())) } else { outcomes.into_iter().next() }
}

fn case_options(case: &Path, build: &Value) -> Options {
    let map = |key: &str| -> BTreeMap<String, String> {
        let pairs = build[key].as_object().cloned().unwrap_or_default();
        pairs.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or("").to_owned())).collect()
    };
    let contexts = map("contexts").into_iter().map(|(name, value)| {
        let context = if value.starts_with("docker-image://") {
            NamedContext::Image(value)
        } else {
            NamedContext::Folder
        };
        (name, context)
    });
    let context = case.join(build["context"].as_str().unwrap_or("context"));
    let ignore = std::fs::read(context.join(".dockerignore")).ok();
    Options {
        build_args: map("build_args"),
        target: build["target"].as_str().map(str::to_owned),
        platform: build["platform"].as_str().map(str::to_owned),
        build_platform: "linux/amd64".to_owned(),
        labels: map("labels"),
        contexts: contexts.collect(),
        ignore: ignore.and_then(|file| IgnorePatterns::parse(&file).ok()),
    }
}

fn compare(file: &[u8], options: &Options, expect: &Value) -> Option<Result<(), String>> {
    let parsed = crate::parse(file);
    let mut bases = FakeBases::new();
    if let Some(warnings) = expect.get("warnings") {
        let checked = check(&parsed.dockerfile, options, &mut bases);
        return Some(compare_warnings(&checked, warnings));
    }
    let first = parsed.errors.first();
    let error = match first {
        Some(error) => Err((error.message.clone(), error.lines)),
        None => plan(&parsed.dockerfile, options, &mut bases)
            .map(|planned| planned.plan)
            .map_err(|error| (error.message, error.lines)),
    };
    match (expect.get("error"), error) {
        (Some(expected), Err((message, lines))) => Some(compare_error(expected, expect, &message, lines)),
        (Some(expected), Ok(_)) => Some(Err(format!("no error, expected {expected}"))),
        (None, _) if expect.get("config").is_none() => None,
        (None, Err((message, lines))) => Some(Err(format!("unexpected error at {lines:?}: {message}"))),
        (None, Ok(plan)) => Some(compare_plan(&plan, expect)),
    }
}

fn compare_error(
    expected: &Value,
    expect: &Value,
    message: &str,
    lines: Option<crate::LineRange>,
) -> Result<(), String> {
    let lower = message.to_lowercase();
    let phrases = expected["contains"].as_array().cloned().unwrap_or_default();
    for phrase in phrases.iter().filter_map(Value::as_str) {
        if !lower.contains(&phrase.to_lowercase()) {
            return Err(format!("{message:?} does not contain {phrase:?}"));
        }
    }
    // The exact text is part of the contract, where it is the plan's own.
    let exact = expect["message"].as_str().and_then(|text| text.strip_prefix("failed to solve: "));
    if let Some(exact) = exact.filter(|exact| !exact.contains("lint violation") && *exact != message) {
        return Err(format!("message {message:?}, expected {exact:?}"));
    }
    let line = expect["line"].as_u64();
    let first = lines.map(|lines| u64::from(lines.first));
    if line.is_some() && line != first {
        return Err(format!("line {first:?}, expected {line:?}"));
    }
    Ok(())
}

fn compare_warnings(checked: &Checked, expected: &Value) -> Result<(), String> {
    let mut found: Vec<String> = checked
        .warnings
        .iter()
        .map(|warning| format!("{} {} {}", warning.lines.first, warning.rule.name(), warning.message))
        .collect();
    let text = |key: &str, value: &Value| value[key].as_str().unwrap_or("").to_owned();
    let mut wanted: Vec<String> = expected
        .as_array()
        .cloned()
        .unwrap_or_default()
        .iter()
        .map(|value| format!("{} {} {}", value["line"], text("rule", value), text("message", value)))
        .collect();
    found.sort();
    wanted.sort();
    if found == wanted && checked.error.is_none() {
        return Ok(());
    }
    Err(format!("error {:?}\n  found  {found:#?}\n  wanted {wanted:#?}", checked.error))
}

fn compare_plan(plan: &Plan, expect: &Value) -> Result<(), String> {
    let config = config_json(&plan.target.config);
    if config != expect["config"] {
        return Err(format!("config\n  found  {config}\n  wanted {}", expect["config"]));
    }
    let author = plan.target.author.as_deref();
    if author != expect["author"].as_str() {
        return Err(format!("author {author:?}"));
    }
    let wanted: Vec<(String, bool)> = expect["history"]
        .as_array()
        .cloned()
        .unwrap_or_default()
        .iter()
        .map(|entry| (entry["created_by"].as_str().unwrap_or("").to_owned(), entry["empty_layer"] == true))
        .collect();
    let found: Vec<(String, bool)> = plan
        .target
        .history
        .iter()
        .map(|entry| (entry.created_by.to_string(), entry.layer.is_none()))
        .collect();
    if found != wanted {
        return Err(format!("history\n  found  {found:#?}\n  wanted {wanted:#?}"));
    }
    let platform: Vec<&str> = plan.target.platform.split('/').collect();
    let wanted = [expect["os"].as_str(), expect["architecture"].as_str()];
    if platform.iter().take(2).map(|part| Some(*part)).ne(wanted) {
        return Err(format!("platform {platform:?}"));
    }
    Ok(())
}

/// The `config` member as the expectations have it: without empty members.
fn config_json(config: &Config) -> Value {
    let mut json = Map::new();
    let mut put = |name: &str, value: Value| {
        let empty = value == json!("") || value == json!([]) || value == json!({}) || value == json!(false);
        if !empty && !value.is_null() {
            json.insert(name.to_owned(), value);
        }
    };
    let set =
        |names: &BTreeSet<String>| names.iter().map(|name| (name.clone(), json!({}))).collect::<Map<_, _>>();
    put("User", json!(config.user));
    put("ExposedPorts", Value::Object(set(&config.exposed_ports)));
    put("Env", json!(config.env));
    put("Entrypoint", json!(config.entrypoint));
    put("Cmd", json!(config.cmd));
    put("Volumes", Value::Object(set(&config.volumes)));
    put("WorkingDir", json!(config.working_dir));
    put("Labels", json!(config.labels));
    put("StopSignal", json!(config.stop_signal));
    put("ArgsEscaped", json!(config.args_escaped));
    if let Some(health) = &config.healthcheck {
        let mut value = Map::new();
        value.insert("Test".to_owned(), json!(health.test));
        for (name, number) in [
            ("Interval", health.interval),
            ("Timeout", health.timeout),
            ("StartPeriod", health.start_period),
            ("StartInterval", health.start_interval),
            ("Retries", health.retries),
        ] {
            if number != 0 {
                value.insert(name.to_owned(), json!(number));
            }
        }
        put("Healthcheck", Value::Object(value));
    }
    put("OnBuild", json!(config.on_build));
    put("Shell", json!(config.shell));
    Value::Object(json)
}
