//! Two keys, side by side.

use std::collections::BTreeMap;

use rbuild_image::digest::RecordKey;
use rbuild_image::store::Store;

use super::change::{Change, Culprit};
use super::{files, inputs};
use crate::key::{CopyKey, MountKey, MountKeyKind, RunKey, StepKey, StepKeyKind, WorkdirKey};

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
    if old.parent != new.parent {
        out.found.push(Change::Parent { because: Culprit::Unknown });
    }
    out.found
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

    fn flag(&mut self, name: &str, old: bool, new: bool) {
        self.optional(name, old.then_some(&"on"), new.then_some(&"on"));
    }

    fn run(&mut self, old: &RunKey, new: &RunKey) {
        self.value("platform", &old.platform, &new.platform);
        let lost = self.found.len();
        self.value("command", &shown(&old.argv), &shown(&new.argv));
        if self.found.len() == lost && old.argv != new.argv {
            self.value("arguments", &format!("{:?}", old.argv), &format!("{:?}", new.argv));
        }
        let body = |key: &RunKey| key.script.as_ref().map(|(name, data)| format!("{name}: {data}"));
        self.optional("script", body(old).as_ref(), body(new).as_ref());
        self.variables(&old.env, &new.env);
        self.value("WORKDIR", &old.workdir, &new.workdir);
        self.value("USER", &old.user, &new.user);
        self.value("--network", &format!("{:?}", old.network), &format!("{:?}", new.network));
        self.flag("--security=insecure", old.insecure, new.insecure);
        self.value("--add-host", &old.hosts.join(" "), &new.hosts.join(" "));
        for number in 0..old.mounts.len().max(new.mounts.len()) {
            self.mount(old.mounts.get(number), new.mounts.get(number));
        }
    }

    fn variables(&mut self, old: &[(String, String)], new: &[(String, String)]) {
        let found = self.found.len();
        let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (old.iter().cloned().collect(), new.iter().cloned().collect());
        let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
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

    fn mount(&mut self, old: Option<&MountKey>, new: Option<&MountKey>) {
        if old == new {
            return;
        }
        if let (Some(old), Some(new)) = (old, new)
            && let (
                MountKeyKind::Bind { content: from, writable: old_writable },
                MountKeyKind::Bind { content: to, writable },
            ) = (&old.kind, &new.kind)
            && (old.target == new.target && old_writable == writable)
        {
            return self.files(new.target.clone(), from, to);
        }
        let shown = |mount: &MountKey| serde_json::to_string(mount).unwrap_or_default();
        self.optional("--mount", old.map(shown).as_ref(), new.map(shown).as_ref());
    }

    fn files(&mut self, mount: Option<String>, from: &str, to: &str) {
        if from == to {
            return;
        }
        let list = |key, content| {
            let bytes = self.store.inputs(key).ok().flatten()?;
            inputs::decode(&bytes, content)
        };
        let files = match (list(self.before, from), list(self.after, to)) {
            (Some(before), Some(after)) => Some(files::compare(&before, &after)),
            _ => None,
        };
        self.found.push(Change::Files { mount, files });
    }

    fn copy(&mut self, old: &CopyKey, new: &CopyKey) {
        self.flag("ADD", old.add, new.add);
        self.value("destination", &old.dest, &new.dest);
        self.optional("--chown", old.chown.as_ref(), new.chown.as_ref());
        self.optional("--chmod", old.chmod.as_ref(), new.chmod.as_ref());
        self.flag("--link", old.link, new.link);
        self.flag("--parents", old.parents, new.parents);
        self.value("--exclude", &old.exclude.join(" "), &new.exclude.join(" "));
        self.optional("--unpack", old.unpack.as_ref(), new.unpack.as_ref());
        self.files(None, &old.content, &new.content);
    }

    fn workdir(&mut self, old: &WorkdirKey, new: &WorkdirKey) {
        self.value("directory", &old.path, &new.path);
        self.value("USER", &old.user, &new.user);
        self.optional("SOURCE_DATE_EPOCH", old.epoch.as_ref(), new.epoch.as_ref());
    }
}

/// A command as it was written, as far as that can be seen: without the usual shell.
fn shown(argv: &[String]) -> String {
    match argv {
        [shell, flag, command] if shell == "/bin/sh" && flag == "-c" => command.clone(),
        _ => argv.join(" "),
    }
}
