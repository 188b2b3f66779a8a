//! Two keys, side by side.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_image::digest::RecordKey;
use rbuild_image::store::Store;
use rbuild_runtime::ulimit::Ulimit;

use super::change::{Change, Culprit, FileChange, FileChanges};
use super::mounts::{self, MountChange};
use super::{files, inputs};
use crate::key::{CopyKey, RunKey, RunNetworkKey, StepKey, StepKeyKind, WorkdirKey};

/// A key with its digest, under which the lists of its files are kept.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub(super) digest: RecordKey,
    pub(super) key: StepKey,
}

/// Every field that differs. Why parents differ is not known here.
pub(super) fn compare(store: &Store, before: &Keyed, after: &Keyed) -> Vec<Change> {
    let mut out = Changes { store, before: before.digest, after: after.digest, found: Vec::new() };
    let (old, new) = (&before.key, &after.key);
    out.value("format of the record", &old.format, &new.format);
    match (&old.kind, &new.kind) {
        (StepKeyKind::Run(old), StepKeyKind::Run(new)) => out.run(old, new),
        (StepKeyKind::Copy(old), StepKeyKind::Copy(new)) => out.copy(old, new),
        (StepKeyKind::Workdir(old), StepKeyKind::Workdir(new)) => out.workdir(old, new),
        (old, new) => out.value("instruction", &kind(old), &kind(new)),
    }
    // Without a parent, or with one again: that is what `--link` means.
    if old.parent != new.parent && old.parent.is_some() == new.parent.is_some() {
        out.found.push(Change::Parent { because: Culprit::Unknown });
    }
    out.found
}

/// Whether keys that differ in this are still keys of steps that somebody would call nearly the same: at most one
/// thing that the step itself says is another one, or at least what it is about is not.
pub(super) fn resemble(changes: &[Change]) -> bool {
    let own = |change: &&Change| !matches!(change, Change::Parent { .. });
    let is_core = |change: &Change| match change {
        Change::Value { name, .. } => {
            matches!(name.as_str(), "command" | "arguments" | "script" | "destination" | "directory" | "ADD")
        }
        Change::Files { mount: None, files } => {
            files.as_ref().is_some_and(|files| files.changes.len() >= files.of)
        }
        Change::Files { .. } | Change::Mount { .. } | Change::Variable { .. } | Change::Parent { .. } => {
            false
        }
    };
    let is_other = |change: &Change| match change {
        Change::Value { name, from: Some(from), to: Some(to) } if name == "command" => !share_words(from, to),
        _ => false,
    };
    let nearly = changes.iter().filter(own).count() <= 1 || !changes.iter().any(is_core);
    nearly && !changes.iter().any(is_other)
}

/// Whether half of the words of two commands are the same.
fn share_words(a: &str, b: &str) -> bool {
    let words = |text| str::split_whitespace(text).collect::<BTreeSet<_>>();
    let (a, b) = (words(a), words(b));
    2 * a.intersection(&b).count() >= a.len().max(b.len())
}

/// What a key is the key of.
pub(super) fn kind(kind: &StepKeyKind) -> &'static str {
    match kind {
        StepKeyKind::Run(_) => "RUN",
        StepKeyKind::Copy(copy) if copy.add => "ADD",
        StepKeyKind::Copy(_) => "COPY",
        StepKeyKind::Workdir(_) => "WORKDIR",
    }
}

struct Changes<'a> {
    store: &'a Store,
    before: RecordKey,
    after: RecordKey,
    found: Vec<Change>,
}

impl Changes<'_> {
    fn value(&mut self, name: &str, old: &impl ToString, new: &impl ToString) {
        self.optional(name, Some(old), Some(new));
    }

    fn optional(&mut self, name: &str, old: Option<&impl ToString>, new: Option<&impl ToString>) {
        let (from, to) = (old.map(ToString::to_string), new.map(ToString::to_string));
        if from != to {
            self.found.push(Change::Value { name: name.into(), from, to });
        }
    }

    /// A flag that may be given several times, or not at all.
    fn words(&mut self, name: &str, old: &[String], new: &[String]) {
        let joined = |words: &[String]| (!words.is_empty()).then(|| words.join(" "));
        self.optional(name, joined(old).as_ref(), joined(new).as_ref());
    }

    fn flag(&mut self, name: &str, old: bool, new: bool) {
        self.optional(name, old.then_some(&"on"), new.then_some(&"on"));
    }

    fn run(&mut self, old: &RunKey, new: &RunKey) {
        // Every field by its name, so that a new one cannot be forgotten here.
        #[rustfmt::skip]
        let RunKey {
            platform, argv, env, workdir, user, network, insecure, mounts, script, hosts, hostname, shm_size, ulimits,
        } = new;
        self.value("platform", &old.platform, platform);
        let lost = self.found.len();
        self.value("command", &shown(&old.argv), &shown(argv));
        if self.found.len() == lost && old.argv != *argv {
            self.value("arguments", &format!("{:?}", old.argv), &format!("{argv:?}"));
        }
        let body = |(name, data): &(String, String)| format!("{name}: {data}");
        self.optional("script", old.script.as_ref().map(body).as_ref(), script.as_ref().map(body).as_ref());
        self.variables(&old.env, env);
        self.value("WORKDIR", &old.workdir, workdir);
        self.value("USER", &old.user, user);
        self.value("--network", &network_word(old.network), &network_word(*network));
        self.flag("--security=insecure", old.insecure, *insecure);
        self.words("--add-host", &old.hosts, hosts);
        self.optional("BUILDKIT_SANDBOX_HOSTNAME", old.hostname.as_ref(), hostname.as_ref());
        self.optional("--shm-size", old.shm_size.as_ref(), shm_size.as_ref());
        let limits = |of: &[Ulimit]| of.iter().map(Ulimit::to_string).collect::<Vec<_>>();
        self.words("--ulimit", &limits(&old.ulimits), &limits(ulimits));
        for change in mounts::compare(&old.mounts, mounts) {
            match change {
                MountChange::Content { target, from, to } => self.files(target, &from, &to),
                MountChange::Other(change) => self.found.push(change),
            }
        }
    }

    fn variables(&mut self, old: &[(String, String)], new: &[(String, String)]) {
        let found = self.found.len();
        let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (old.iter().cloned().collect(), new.iter().cloned().collect());
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (from, to) = (before.get(name).cloned(), after.get(name).cloned());
            if from != to {
                self.found.push(Change::Variable { name: name.clone(), from, to });
            }
        }
        if self.found.len() == found && old != new {
            let names = |env: &[(String, String)]| {
                env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
            };
            self.value("order of the variables", &names(old), &names(new));
        }
    }

    fn files(&mut self, mount: Option<String>, from: &str, to: &str) {
        if from != to {
            let files = self.file_changes(from, to);
            self.found.push(Change::Files { mount, files });
        }
    }

    /// Which files differ between two sets; None if one of them is not known any more.
    fn file_changes(&self, from: &str, to: &str) -> Option<FileChanges> {
        let list = |key, content| {
            let bytes = self.store.inputs(key).ok().flatten()?;
            inputs::decode(&bytes, content)
        };
        let (before, after) = (list(self.before, from)?, list(self.after, to)?);
        Some(files::compare(&before, &after))
    }

    fn copy(&mut self, old: &CopyKey, new: &CopyKey) {
        self.flag("ADD", old.add, new.add);
        self.value("destination", &old.dest, &new.dest);
        self.optional("--chown", old.chown.as_ref(), new.chown.as_ref());
        self.optional("--chmod", old.chmod.as_ref(), new.chmod.as_ref());
        // Beside a `--chmod` there is no `--link`, whatever is written.
        if old.chmod.is_some() == new.chmod.is_some() {
            self.flag("--link", old.link, new.link);
        }
        self.flag("--parents", old.parents, new.parents);
        self.words("--exclude", &old.exclude, &new.exclude);
        self.optional("--unpack", old.unpack.as_ref(), new.unpack.as_ref());
        if old.content == new.content {
            return;
        }
        let found = self.file_changes(&old.content, &new.content);
        let by_files = found.as_ref().map(|found| found.changes.len());
        let files = found.map(|found| without_effects(found, old, new));
        let all_by_flags =
            files.as_ref().is_some_and(|files| files.changes.is_empty()) && by_files != Some(0);
        if !all_by_flags {
            self.found.push(Change::Files { mount: None, files });
        }
    }

    fn workdir(&mut self, old: &WorkdirKey, new: &WorkdirKey) {
        self.value("directory", &old.path, &new.path);
        self.value("USER", &old.user, &new.user);
        self.optional("SOURCE_DATE_EPOCH", old.epoch.as_ref(), new.epoch.as_ref());
    }
}

/// The changes of files that a changed flag did not make: to say both would be to say one thing twice.
fn without_effects(mut files: FileChanges, old: &CopyKey, new: &CopyKey) -> FileChanges {
    let (chmod, chown) = (old.chmod != new.chmod, old.chown != new.chown);
    let (exclude, parents) = (old.exclude != new.exclude, old.parents != new.parents);
    files.changes.retain(|change| match change {
        FileChange::Mode { .. } => !chmod,
        FileChange::Owner { .. } => !chown,
        FileChange::Added { .. } | FileChange::Removed { .. } => !exclude && !parents,
        FileChange::Renamed { .. } => !parents,
        _ => true,
    });
    files
}

/// A network as `--network` calls it.
fn network_word(network: RunNetworkKey) -> &'static str {
    match network {
        RunNetworkKey::Host => "host",
        RunNetworkKey::None => "none",
    }
}

/// A command as it was written, as far as that can be seen: without the usual shell.
fn shown(argv: &[String]) -> String {
    match argv {
        [shell, flag, command] if shell == "/bin/sh" && flag == "-c" => command.clone(),
        _ => argv.join(" "),
    }
}
