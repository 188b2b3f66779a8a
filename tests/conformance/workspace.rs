//! The files of a case, laid out for one run.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use serde_json::{Map, Value};

use super::case::Case;
use super::prepare::{self, text};
use crate::support::server::FileServer;

/// The time of every entry of a context unless the case says otherwise: 2006-01-02 22:04:05 UTC.
pub(super) const CONTEXT_TIME: u64 = 1_136_239_445;

/// A folder with a copy of a case's files.
#[derive(Debug)]
pub(super) struct Workspace<'c> {
    case: &'c Case,
    root: PathBuf,
    rounds: u64,
    /// Serves `http.dir`, if the case has it.
    pub(super) server: Option<FileServer>,
}

impl<'c> Workspace<'c> {
    /// Makes the folder. The error says what this machine cannot do.
    pub(super) fn new(case: &'c Case, root: PathBuf) -> Result<Self, String> {
        fs::create_dir_all(root.join("context")).map_err(|e| format!("{}: {e}", root.display()))?;
        for entry in fs::read_dir(&case.dir).map_err(|e| e.to_string())? {
            let entry = entry.map_err(|e| e.to_string())?;
            if !matches!(entry.file_name().to_str(), Some("case.json" | "expect.json")) {
                let to = root.join(entry.file_name());
                copy(&entry.path(), &to).map_err(|e| format!("{}: {e}", to.display()))?;
            }
        }
        let mut workspace = Self { case, root, rounds: 0, server: None };
        workspace.carry_out(&case.spec["prepare"], true)?;
        if let Some(dir) = case.spec["http"]["dir"].as_str() {
            let headers = case.spec["http"]["headers"].clone();
            workspace.server = Some(FileServer::start(workspace.root.join(dir), headers));
        }
        Ok(workspace)
    }

    /// A path of the case as text.
    pub(super) fn at(&self, path: &str) -> String {
        self.root.join(path).into_os_string().into_string().expect("the paths of cases are text")
    }

    /// Carries out the `prepare` of a later build.
    pub(super) fn apply(&mut self, operations: &Value) -> Result<(), String> {
        self.carry_out(operations, false)
    }

    fn carry_out(&mut self, operations: &Value, all_times: bool) -> Result<(), String> {
        let (timed, others): (Vec<_>, Vec<_>) =
            operations.as_array().into_iter().flatten().partition(|op| op["op"] == "mtime");
        let mut touched = BTreeSet::new();
        for op in others {
            prepare::apply(&self.root, op)?;
            touched.insert(self.root.join(text(op, "path")));
        }
        // Each round has a time of its own: what changes must not be hidden from builders that compare times.
        let now = Timespec { tv_sec: seconds(CONTEXT_TIME + 60 * self.rounds), tv_nsec: 0 };
        self.rounds += 1;
        let stamped = if all_times {
            stamp_below(&self.root, now)
        } else {
            touched
                .iter()
                .filter(|path| path.symlink_metadata().is_ok())
                .try_for_each(|path| stamp(path, now))
        };
        stamped.map_err(|e| format!("times: {e}"))?;
        for op in timed {
            stamp(&self.root.join(text(op, "path")), time(&op["time"])).map_err(|e| format!("times: {e}"))?;
        }
        Ok(())
    }

    /// `build` of the case, with what a step of a sequence changes in it.
    pub(super) fn settings(&self, step: &Value) -> Map<String, Value> {
        let mut build = self.case.spec["build"].as_object().cloned().unwrap_or_default();
        for (key, value) in step["build"].as_object().into_iter().flatten() {
            match (build.get_mut(key), value) {
                (Some(Value::Object(old)), Value::Object(new)) => old.extend(new.clone()),
                _ => drop(build.insert(key.clone(), value.clone())),
            }
        }
        if !build.contains_key("file") && self.root.join("Dockerfile").symlink_metadata().is_ok() {
            build.insert("file".into(), "Dockerfile".into());
        }
        if let (Some(server), Some(args)) =
            (&self.server, build.get_mut("build_args").and_then(Value::as_object_mut))
        {
            for value in args.values_mut() {
                let replaced = value.as_str().unwrap_or_default().replace("{{HTTP}}", &server.url());
                *value = replaced.into();
            }
        }
        build
    }
}

/// Copies with the permissions that git can hold, whatever those of the checkout are.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let meta = from.symlink_metadata()?;
    if meta.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if !meta.is_dir() {
        fs::write(to, fs::read(from)?)?;
        let executable = meta.permissions().mode() & 0o111 != 0;
        return fs::set_permissions(to, Permissions::from_mode(if executable { 0o755 } else { 0o644 }));
    }
    fs::create_dir_all(to)?;
    fs::set_permissions(to, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn stamp_below(dir: &Path, time: Timespec) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            stamp_below(&entry.path(), time)?;
        }
        stamp(&entry.path(), time)?;
    }
    Ok(())
}

fn stamp(path: &Path, time: Timespec) -> std::io::Result<()> {
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Seconds, whole or not.
fn time(value: &Value) -> Timespec {
    if let Some(whole) = value.as_u64() {
        return Timespec { tv_sec: seconds(whole), tv_nsec: 0 };
    }
    let since = std::time::Duration::from_secs_f64(value.as_f64().unwrap_or_default());
    Timespec { tv_sec: seconds(since.as_secs()), tv_nsec: since.subsec_nanos().into() }
}

fn seconds(since: u64) -> i64 {
    i64::try_from(since).expect("a time of this epoch")
}
