//! Two lists of mounts, side by side.
//!
//! Mounts belong together by where they are, so that one more in the middle makes no others differ. One that is gone
//! and one that is new are the same if they differ in nothing but the place.

use std::collections::BTreeMap;

use serde_json::Value;

use super::change::Change;
use crate::key::{MountKey, MountKeyKind};

/// What differs of a mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MountChange {
    /// The digests of the files that it shows, or that a cache starts with.
    Content { target: Option<String>, from: String, to: String },
    /// Anything else.
    Other(Change),
}

/// Every difference. Lists that differ only in their order differ in that.
pub(super) fn compare(old: &[MountKey], new: &[MountKey]) -> Vec<MountChange> {
    let (mut gone, mut added) = (by_place(old), by_place(new));
    let both: Vec<String> = gone.keys().filter(|place| added.contains_key(*place)).cloned().collect();
    let mut changes = Vec::new();
    for place in both {
        if let (Some(from), Some(to)) = (gone.remove(&place), added.remove(&place)) {
            changes.extend(differences(from, to));
        }
    }
    if let (Some((_, from)), Some((_, to))) = (only(&gone), only(&added))
        && from.kind == to.kind
    {
        let change = member(to, "target", from.target.clone(), to.target.clone());
        return changes.into_iter().chain([change]).collect();
    }
    let whole = |mount: &MountKey, from: Option<String>, to: Option<String>| {
        MountChange::Other(Change::Mount { mount: shown(mount), member: None, from, to })
    };
    changes.extend(gone.values().map(|mount| whole(mount, Some(shown(mount)), None)));
    changes.extend(added.values().map(|mount| whole(mount, None, Some(shown(mount)))));
    if changes.is_empty() && old != new {
        let order = |mounts: &[MountKey]| Some(mounts.iter().map(shown).collect::<Vec<_>>().join(", "));
        let name = "order of the mounts".to_owned();
        changes.push(MountChange::Other(Change::Value { name, from: order(old), to: order(new) }));
    }
    changes
}

fn only<'a>(mounts: &BTreeMap<String, &'a MountKey>) -> Option<(String, &'a MountKey)> {
    let (place, mount) = mounts.first_key_value().filter(|_| mounts.len() == 1)?;
    Some((place.clone(), *mount))
}

/// By target, or by what is shown where there is none; of several at one place each has its number.
fn by_place(mounts: &[MountKey]) -> BTreeMap<String, &MountKey> {
    let mut places = BTreeMap::new();
    for mount in mounts {
        let place = mount.target.clone().unwrap_or_else(|| shown(mount));
        let free = (0..).map(|number| format!("{place} {number}")).find(|it| !places.contains_key(it));
        places.insert(free.expect("numbers do not end"), mount);
    }
    places
}

/// A mount as a sentence calls it.
fn shown(mount: &MountKey) -> String {
    let (what, id) = match &mount.kind {
        MountKeyKind::Bind { .. } => ("bind", None),
        MountKeyKind::Cache { .. } => ("cache", None),
        MountKeyKind::Tmpfs { .. } => ("tmpfs", None),
        MountKeyKind::Secret { id, .. } => ("secret", Some(id)),
        MountKeyKind::Ssh { id, .. } => ("ssh", Some(id)),
    };
    match (&mount.target, id) {
        (Some(target), _) => format!("{what} at {target}"),
        (None, Some(id)) => format!("{what} {id}"),
        (None, None) => what.to_owned(),
    }
}

fn member(mount: &MountKey, name: &str, from: Option<String>, to: Option<String>) -> MountChange {
    MountChange::Other(Change::Mount { mount: shown(mount), member: Some(name.to_owned()), from, to })
}

fn differences(old: &MountKey, new: &MountKey) -> Vec<MountChange> {
    let (before, mut after) = (members(old), members(new));
    if before.get("type") != after.get("type") {
        let kind = |members: &BTreeMap<String, String>| members.get("type").cloned();
        return vec![member(new, "type", kind(&before), kind(&after))];
    }
    let mut changes = Vec::new();
    for (name, from) in before {
        let to = after.remove(&name);
        match (name.as_str(), to) {
            (_, Some(to)) if to == from => {}
            ("content" | "start", Some(to)) => {
                changes.push(MountChange::Content { target: new.target.clone(), from, to });
            }
            ("start", None) => changes.push(member(new, "from", Some("files".to_owned()), None)),
            (_, to) => changes.push(member(new, &name, Some(from), to)),
        }
    }
    changes.extend(after.into_iter().map(|(name, to)| match name.as_str() {
        "start" => member(new, "from", None, Some("files".to_owned())),
        _ => member(new, &name, None, Some(to)),
    }));
    changes
}

/// What is said of a mount, by the names of `--mount`. What is not given is not there.
fn members(mount: &MountKey) -> BTreeMap<String, String> {
    let Ok(Value::Object(fields)) = serde_json::to_value(mount) else { return BTreeMap::new() };
    let mut members = BTreeMap::new();
    let mut put = |name: &str, value: String| drop(members.insert(name.to_owned(), value));
    for (name, value) in &fields {
        match (name.as_str(), value) {
            (_, Value::Null | Value::Bool(false)) => {}
            ("writable", _) => put("rw", "on".to_owned()),
            (name, Value::Bool(true)) => put(name, "on".to_owned()),
            ("mode", Value::Number(mode)) => put("mode", octal(mode.as_u64())),
            ("owner", Value::Array(owner)) => {
                for (name, value) in ["uid", "gid", "mode"].into_iter().zip(owner) {
                    put(name, if name == "mode" { octal(value.as_u64()) } else { value.to_string() });
                }
            }
            (name, Value::String(text)) => put(name, text.clone()),
            (name, value) => put(name, value.to_string()),
        }
    }
    members
}

fn octal(mode: Option<u64>) -> String {
    format!("{:04o}", mode.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SharingKey;

    fn at(target: &str, kind: MountKeyKind) -> MountKey {
        MountKey { target: Some(target.to_owned()), kind }
    }

    fn cache(target: &str, id: &str, sharing: SharingKey) -> MountKey {
        let (source, start, owner) = ("/".to_owned(), None, None);
        at(target, MountKeyKind::Cache { id: id.to_owned(), sharing, readonly: false, source, start, owner })
    }

    fn bind(target: &str, content: &str, writable: bool) -> MountKey {
        at(target, MountKeyKind::Bind { content: content.to_owned(), writable })
    }

    fn secret(target: Option<&str>, mode: u32) -> MountKey {
        let (id, env) = ("key".to_owned(), target.is_none().then(|| "KEY".to_owned()));
        let kind = MountKeyKind::Secret { id, env, required: false, mode, uid: 0, gid: 0 };
        MountKey { target: target.map(str::to_owned), kind }
    }

    /// As they are printed.
    fn found(old: &[MountKey], new: &[MountKey]) -> Vec<String> {
        let text = |change| match change {
            MountChange::Content { target, from, to } => format!("content at {target:?}: {from} -> {to}"),
            MountChange::Other(change) => change.to_string(),
        };
        compare(old, new).into_iter().map(text).collect()
    }

    #[test]
    fn exactly_what_was_changed() {
        use SharingKey::{Locked, Shared};
        let all = || vec![cache("/c", "x", Shared), bind("/b", "1", false), secret(Some("/s"), 0o400)];
        let with = |place: usize, mount: MountKey| {
            let mut mounts = all();
            mounts[place] = mount;
            found(&all(), &mounts)
        };
        assert!(found(&all(), &all()).is_empty());
        assert_eq!(with(0, cache("/c", "y", Shared)), [r#"--mount, cache at /c: id "x" -> "y""#]);
        assert_eq!(
            with(0, cache("/c", "x", Locked)),
            [r#"--mount, cache at /c: sharing "shared" -> "locked""#]
        );
        assert_eq!(with(0, cache("/d", "x", Shared)), [r#"--mount, cache at /d: target "/c" -> "/d""#]);
        assert_eq!(with(1, bind("/b", "2", false)), [r#"content at Some("/b"): 1 -> 2"#]);
        assert_eq!(with(1, bind("/b", "1", true)), [r#"--mount, bind at /b: rw "on" was not there"#]);
        assert_eq!(with(2, secret(Some("/s"), 0o440)), [r#"--mount, secret at /s: mode "0400" -> "0440""#]);
        assert_eq!(with(1, cache("/b", "x", Shared)), [r#"--mount, cache at /b: type "bind" -> "cache""#]);
        assert_eq!(found(&all(), &all()[1..]), ["--mount is gone: cache at /c"]);
        assert_eq!(found(&all()[..2], &all()), ["--mount is new: secret at /s"]);
        assert_eq!(found(&[], &[secret(None, 0)]), ["--mount is new: secret key"]);
        let order = found(&all()[..2], &[bind("/b", "1", false), cache("/c", "x", Shared)]);
        assert_eq!(order, [r#"order of the mounts: "cache at /c, bind at /b" -> "bind at /b, cache at /c""#]);
    }
}
