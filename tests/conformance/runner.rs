//! One case: lay it out, build it, compare.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::case::{Case, Kind};
use super::compare;
use super::describe::describe;
use super::image::Image;
use super::workspace::Workspace;
use crate::support::Sandbox;

/// Longest time for one call of rbuild.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How a case came out.
#[derive(Debug)]
pub(super) enum Verdict {
    /// As it should.
    Passed,
    /// With these differences.
    Failed(Vec<String>),
    /// This machine cannot set it up.
    Skipped(String),
}

/// How a call of rbuild ended.
struct Ended {
    success: bool,
    stdout: String,
    stderr: String,
}

/// What a build came to.
struct Built {
    ended: Ended,
    dockerfile: String,
    /// The image in the words of an expectation, and what is wrong with it whatever was expected.
    image: Option<Result<(Value, Vec<String>), String>>,
}

/// Runs a case in a sandbox. `dir` is a folder that is not there yet.
pub(super) fn run(case: &Case, sandbox: &Sandbox, base: &Image, dir: PathBuf) -> Verdict {
    let mut workspace = match Workspace::new(case, dir.clone()) {
        Ok(workspace) => workspace,
        Err(reason) => return Verdict::Skipped(reason),
    };
    let run = Run { sandbox, base, dir: &dir };
    let differences = match case.kind() {
        Kind::Lint => run.lint(case, &workspace),
        Kind::Build => run.judge(&case.expected, &run.build(&workspace, &Value::Null)),
        Kind::Sequence => match run.sequence(case, &mut workspace) {
            Ok(differences) => differences,
            Err(reason) => return Verdict::Skipped(reason),
        },
    };
    if differences.is_empty() { Verdict::Passed } else { Verdict::Failed(differences) }
}

struct Run<'r> {
    sandbox: &'r Sandbox,
    base: &'r Image,
    dir: &'r Path,
}

impl Run<'_> {
    fn lint(&self, case: &Case, workspace: &Workspace<'_>) -> Vec<String> {
        let settings = workspace.settings(&Value::Null);
        let mut args = vec!["build".into(), "--check".into(), "--format".into(), "json".into()];
        args.extend(flags(workspace, &settings));
        let ended = self.call(&args);
        match serde_json::from_str::<Value>(&ended.stdout) {
            Ok(report) if report["warnings"].is_array() => {
                compare::warnings(&case.expected["warnings"], &report["warnings"])
            }
            _ => vec![format!(
                "no JSON with warnings on stdout; stderr ends with: {}",
                compare::tail(&ended.stderr)
            )],
        }
    }

    fn sequence(&self, case: &Case, workspace: &mut Workspace<'_>) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        let list = |value: &Value| value["sequence"].as_array().cloned().unwrap_or_default();
        for (index, (step, want)) in list(&case.spec).iter().zip(list(&case.expected)).enumerate() {
            if index > 0 {
                workspace.apply(&step["prepare"])?;
            }
            let built = self.build(workspace, step);
            let mut differences = self.judge(&want["result"], &built);
            differences.extend(compare::steps(&want, &built.ended.stderr));
            out.extend(differences.into_iter().map(|line| format!("build {}: {line}", index + 1)));
        }
        Ok(out)
    }

    fn build(&self, workspace: &Workspace<'_>, step: &Value) -> Built {
        let settings = workspace.settings(step);
        let archive = self.dir.join(".image.tar");
        // Of the build before; there is none in the first.
        let _ = std::fs::remove_file(&archive);
        let mut args = vec!["build".into(), "--progress=json".into(), "--output".into()];
        args.push(format!("type=docker,dest={}", archive.display()));
        args.extend(flags(workspace, &settings));
        let ended = self.call(&args);
        let address = workspace.server.as_ref().map(|server| server.address());
        let image = ended.success.then(|| {
            let image = Image::read(&archive)?;
            Ok((describe(&image, self.base, address.as_deref()), image.problems))
        });
        let dockerfile = settings.get("file").and_then(Value::as_str).unwrap_or("Dockerfile").to_owned();
        Built { ended, dockerfile, image }
    }

    fn judge(&self, want: &Value, built: &Built) -> Vec<String> {
        if let Some(accepted) = want["any_of"].as_array() {
            let best =
                accepted.iter().map(|want| self.judge(want, built)).min_by_key(Vec::len).unwrap_or_default();
            let title = (!best.is_empty()).then(|| "none of the accepted results; closest:".to_owned());
            return title.into_iter().chain(best).collect();
        }
        let fails = want.get("error").is_some();
        match &built.image {
            Some(_) if fails => vec![format!(
                "expected the build to fail with {}, but it succeeded",
                want["error"]["contains"]
            )],
            None if fails => compare::errors(want, &built.ended.stderr, &built.dockerfile),
            None => vec![format!("build failed: {}", compare::tail(&built.ended.stderr))],
            Some(Err(problem)) => vec![problem.clone()],
            Some(Ok((image, problems))) => {
                let differences = compare::images(want, image);
                problems.iter().cloned().chain(differences).collect()
            }
        }
    }

    fn call(&self, args: &[String]) -> Ended {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = self.sandbox.command(&args);
        command.current_dir(self.dir);
        call(&mut command).unwrap_or_else(|e| panic!("rbuild {}: {e}", args.join(" ")))
    }
}

fn call(command: &mut Command) -> std::io::Result<Ended> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).spawn()?;
    let deadline = Instant::now() + TIMEOUT;
    let (mut status, mut late) = (child.try_wait()?, false);
    while status.is_none() {
        if Instant::now() > deadline && !late {
            child.kill()?;
            late = true;
        }
        std::thread::sleep(Duration::from_millis(2));
        status = child.try_wait()?;
    }
    let text = |file: &mut File| -> std::io::Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut stderr = text(&mut stderr)?;
    if late {
        stderr += &format!("\ntimed out after {} s", TIMEOUT.as_secs());
    }
    Ok(Ended { success: status.is_some_and(|s| s.success()), stdout: text(&mut stdout)?, stderr })
}

/// The arguments of a build, context included.
fn flags(workspace: &Workspace<'_>, settings: &Map<String, Value>) -> Vec<String> {
    let one = |key: &str| settings.get(key).and_then(Value::as_str);
    let pairs = |key: &str| -> Vec<(String, String)> {
        let members = settings.get(key).and_then(Value::as_object).into_iter().flatten();
        members.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    };
    let mut args: Vec<String> = Vec::new();
    let mut flag = |name: &str, value: String| args.extend([name.to_owned(), value]);
    if let Some(tag) = one("tag") {
        flag("-t", tag.to_owned());
    }
    if let Some(file) = one("file") {
        flag("-f", workspace.at(file));
    }
    for (key, value) in pairs("build_args") {
        flag("--build-arg", format!("{key}={value}"));
    }
    if let Some(target) = one("target") {
        flag("--target", target.to_owned());
    }
    for (name, value) in pairs("contexts") {
        let source = if value.contains("://") { value } else { workspace.at(&value) };
        flag("--build-context", format!("{name}={source}"));
    }
    for (name, path) in pairs("secrets") {
        flag("--secret", format!("id={name},src={}", workspace.at(&path)));
    }
    if let Some(platform) = one("platform") {
        flag("--platform", platform.to_owned());
    }
    for (key, value) in pairs("labels") {
        flag("--label", format!("{key}={value}"));
    }
    if settings.get("no_cache") == Some(&Value::Bool(true)) {
        args.push("--no-cache".into());
    }
    args.push(workspace.at(one("context").unwrap_or("context")));
    args
}
