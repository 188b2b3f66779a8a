//! The text of every kind of key, and that each of its fields counts.
//!
//! `pins.txt` has a line for each: digest and text. One that fails means that everybody's cache is void: raise
//! [`FORMAT`] if that is wanted, and pin the new text.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    CopyKey, FORMAT, MountKey, MountKeyKind, Origin, RunKey, RunNetworkKey, SharingKey, StepKey, StepKeyKind,
    WorkdirKey,
};

fn key(parent: Option<&str>, kind: StepKeyKind) -> StepKey {
    StepKey { format: FORMAT, parent: parent.map(str::to_owned), kind }
}

fn run(change: impl FnOnce(&mut RunKey)) -> StepKey {
    let mut run = RunKey {
        platform: "linux/amd64".into(),
        argv: ["/bin/sh", "-c", "make"].map(str::to_owned).into(),
        env: vec![("PATH".into(), "/bin".into()), ("V".into(), "1".into())],
        workdir: "/src".into(),
        user: "dev".into(),
        network: RunNetworkKey::Host,
        insecure: false,
        mounts: Vec::new(),
        script: None,
        hosts: Vec::new(),
        hostname: None,
        shm_size: None,
        ulimits: Vec::new(),
    };
    change(&mut run);
    key(Some("aa"), StepKeyKind::Run(run))
}

fn mounted(target: Option<&str>, kind: MountKeyKind) -> StepKey {
    run(|run| run.mounts = vec![MountKey { target: target.map(str::to_owned), kind }])
}

fn copy(parent: Option<&str>, change: impl FnOnce(&mut CopyKey)) -> StepKey {
    let mut copy = CopyKey {
        add: false,
        origin: Origin::Context,
        dest: "/app/".into(),
        chown: None,
        chmod: None,
        link: parent.is_none(),
        parents: false,
        exclude: Vec::new(),
        unpack: None,
        content: "cc".into(),
    };
    change(&mut copy);
    key(parent, StepKeyKind::Copy(copy))
}

/// One of each kind, and of each kind of mount, every field with something in it somewhere.
fn every_kind() -> Vec<StepKey> {
    let cache = |start: Option<&str>, owner| MountKeyKind::Cache {
        id: "pip".into(),
        sharing: SharingKey::Locked,
        readonly: false,
        source: "/".into(),
        start: start.map(str::to_owned),
        owner,
    };
    let secret = MountKeyKind::Secret {
        id: "token".into(),
        env: Some("TOKEN".into()),
        required: true,
        mode: 0o400,
        uid: 1,
        gid: 2,
    };
    let ssh = MountKeyKind::Ssh { id: "default".into(), required: false, mode: 0o600, uid: 1, gid: 2 };
    vec![
        run(|_| ()),
        run(|run| run.argv = vec!["/app/make".into(), "all".into(), String::new()]),
        run(|run| run.script = Some(("EOF".into(), "#!/bin/sh\necho 'a\\b'\n".into()))),
        run(|run| (run.network, run.insecure) = (RunNetworkKey::None, true)),
        run(|run| run.hosts = vec!["db.local".into()]),
        run(|run| run.platform = "linux/arm/v7".into()),
        run(|run| (run.hostname, run.shm_size) = (Some("box".into()), Some(1 << 20))),
        mounted(Some("/src"), MountKeyKind::Bind { content: "dd".into(), writable: true }),
        mounted(Some("/root/.cache"), cache(None, None)),
        mounted(Some("/root/.cache"), cache(Some("ee"), Some((1, 2, 0o755)))),
        mounted(Some("/tmp"), MountKeyKind::Tmpfs { size: Some(1 << 20) }),
        mounted(Some("/tmp"), MountKeyKind::Tmpfs { size: None }),
        mounted(None, secret),
        mounted(Some("/run/agent"), ssh),
        copy(Some("aa"), |_| ()),
        copy(None, |copy| copy.origin = Origin::Layers),
        copy(Some("aa"), |copy| {
            copy.add = true;
            copy.unpack = Some(false);
            copy.chown = Some("dev:dev".into());
            copy.chmod = Some("u=rwX".into());
            copy.parents = true;
            copy.exclude = vec!["*.o".into(), "!a.o".into()];
        }),
        key(
            Some("aa"),
            StepKeyKind::Workdir(WorkdirKey { path: "/w".into(), user: "dev".into(), epoch: None }),
        ),
        key(
            Some("aa"),
            StepKeyKind::Workdir(WorkdirKey { path: "/w".into(), user: String::new(), epoch: Some(0) }),
        ),
    ]
}

#[test]
fn the_text_of_each_kind_is_what_it_was() {
    let kinds = every_kind();
    let text = |key: &StepKey| format!("{} {}", key.digest(), serde_json::to_string(key).unwrap());
    let now: Vec<String> = kinds.iter().map(text).collect();
    let pinned: Vec<&str> = include_str!("pins.txt").lines().collect();
    assert_eq!(now, pinned, "the keys are now:\n{}\n", now.join("\n"));
    for (key, line) in kinds.iter().zip(pinned) {
        let (_, text) = line.split_once(' ').unwrap();
        assert_eq!(serde_json::from_str::<StepKey>(text).unwrap(), *key, "it is read again");
    }
}

/// Where the leaves of a JSON value are: `/run/argv/0`.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            (0..).zip(items).for_each(|(index, item)| leaves(item, &format!("{at}/{index}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// The values that a leaf could have instead.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(value) => vec![(!value).into()],
        Value::Number(number) => vec![(number.as_u64().unwrap() + 1).into(), Value::Null],
        Value::String(text) => {
            let words = ["none", "host", "context", "layers", "shared", "private", "locked"];
            let words = words.iter().filter(|word| *word != text).map(|word| Value::from(*word));
            words.chain([format!("{text}x").into(), Value::Null]).collect()
        }
        Value::Null => vec!["x".into(), 7.into(), true.into(), json!(["a", "b"]), json!([1, 2, 3])],
        Value::Array(_) | Value::Object(_) => unreachable!("not a leaf"),
    }
}

/// All keys that differ from `key` in one leaf, or have one item more or less in a list.
fn neighbours(key: &StepKey) -> Vec<(String, StepKey)> {
    let whole = serde_json::to_value(key).unwrap();
    let mut places = Vec::new();
    leaves(&whole, "", &mut places);
    let mut found = Vec::new();
    for place in &places {
        for other in others(whole.pointer(place).unwrap()) {
            let mut changed = whole.clone();
            *changed.pointer_mut(place).unwrap() = other.clone();
            // What cannot be read is no key: a word that its enum does not have, or no value where one has to be.
            if let Ok(read) = serde_json::from_value::<StepKey>(changed.clone()) {
                // What is left out where it is not given is not told apart from what is null.
                if !other.is_null() {
                    assert_eq!(serde_json::to_value(&read).unwrap(), changed, "all of {place} is kept");
                }
                found.push((format!("{place} = {other}"), read));
            }
        }
    }
    for list in ["/run/argv", "/run/env", "/run/hosts", "/run/mounts", "/copy/exclude"] {
        let Some(items) = whole.pointer(list).and_then(Value::as_array) else { continue };
        let mut changed = whole.clone();
        let more = match list {
            "/run/env" => json!(["NEW", ""]),
            "/run/mounts" => json!({"target": "/more", "type": "tmpfs", "size": null}),
            _ => "".into(),
        };
        let mut longer = items.clone();
        longer.push(more);
        *changed.pointer_mut(list).unwrap() = longer.into();
        found.push((format!("one more in {list}"), serde_json::from_value(changed).unwrap()));
    }
    found
}

#[test]
fn every_field_changes_the_key() {
    let mut changed_fields = BTreeSet::new();
    for key in every_kind() {
        let text = serde_json::to_string(&key).unwrap();
        let mut seen = BTreeSet::from([key.digest().to_string()]);
        let neighbours = neighbours(&key);
        for (what, other) in &neighbours {
            assert!(seen.insert(other.digest().to_string()), "{what} makes no difference in {text}");
        }
        let whole = serde_json::to_value(&key).unwrap();
        let mut places = Vec::new();
        leaves(&whole, "", &mut places);
        for place in places {
            // The kind of a mount is told apart by the fields that go with it.
            if !place.ends_with("/type") {
                let is_it = |(what, _): &&(String, StepKey)| what.starts_with(&format!("{place} = "));
                assert!(neighbours.iter().any(|n| is_it(&n)), "nothing changed {place} of {text}");
                changed_fields.insert(place);
            }
        }
    }
    // Lists that are empty in one kind are full in another.
    for field in ["/run/argv/0", "/run/env/0/1", "/run/hosts/0", "/run/mounts/0/target", "/copy/exclude/0"] {
        assert!(changed_fields.contains(field), "{field}");
    }
}

#[test]
fn the_table_has_every_field() {
    let text = include_str!("mod.rs");
    let table: String = text.lines().take_while(|line| !line.contains("is in no key")).collect();
    for key in every_kind() {
        let whole = serde_json::to_value(&key).unwrap();
        let top = whole.as_object().unwrap();
        for (kind, fields) in top {
            let Some(fields) = fields.as_object() else {
                assert!(table.contains(&format!("`{kind}`")), "{kind}");
                continue;
            };
            for (field, value) in fields {
                let name = if field == "mounts" { continue } else { format!("`{kind}.{field}`") };
                assert!(table.contains(&name), "the table lacks {name}, which may be {value}");
            }
            for mount in fields.get("mounts").and_then(Value::as_array).into_iter().flatten() {
                for field in mount.as_object().unwrap().keys() {
                    let known = table.contains(&format!("`{field}`"))
                        || table.contains(&format!("`run.mounts[].{field}`"));
                    assert!(known, "the table lacks {field} of a mount");
                }
            }
        }
    }
}
