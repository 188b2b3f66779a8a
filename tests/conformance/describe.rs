//! An image in the words of an expectation.

use serde_json::{Map, Value, json};

use super::image::Image;
use super::tree::{Tree, paths};

/// Marks entries of the history that stand for layers without an instruction. They are not compared.
const SYNTHETIC: &str = "buildkit.exporter.image.v0";

/// What `image` is, beside the image that cases start from. `address` is that of the local server.
pub(super) fn describe(image: &Image, base: &Image, address: Option<&str>) -> Value {
    let config = &image.config;
    let mut out = json!({"os": config["os"], "architecture": config["architecture"]});
    for key in ["variant", "author"] {
        if config[key].as_str().is_some_and(|text| !text.is_empty()) {
            out[key] = config[key].clone();
        }
    }
    if is_fixed(&config["created"]) {
        out["created"] = config["created"].clone();
    }
    out["config"] = hide(clean(&config["config"]), address);
    let own = common(&image.diff_ids, &base.diff_ids);
    out["base_layers"] = own.into();
    out["layers"] = image.layers[own..].iter().map(|layer| paths(layer)).collect();
    let (entries, base_entries) = (history(image), history(base));
    let key =
        |entry: &Value| (entry["created"].clone(), entry["created_by"].clone(), entry["empty_layer"] == true);
    let keys = |entries: &[Value]| entries.iter().map(key).collect::<Vec<_>>();
    let shared = if own > 0 { common(&keys(entries), &keys(base_entries)) } else { 0 };
    out["base_history"] = shared.into();
    let further = entries[shared..].iter().filter(|entry| entry["comment"] != SYNTHETIC);
    out["history"] = further.map(|entry| history_entry(entry, address)).collect();
    let nothing = Tree::default();
    let (rootfs, removed) = image.tree.changes(if own > 0 { &base.tree } else { &nothing });
    out["rootfs"] = rootfs.into();
    out["removed"] = removed.into();
    if !image.names.is_empty() {
        let mut names = image.names.clone();
        names.sort();
        out["tags"] = names.into();
    }
    out
}

fn history(image: &Image) -> &[Value] {
    image.config["history"].as_array().map_or(&[], Vec::as_slice)
}

/// The signature of the builder is left out.
fn history_entry(entry: &Value, address: Option<&str>) -> Value {
    let mut out = Map::new();
    out.insert("created_by".into(), hide(json!(entry["created_by"].as_str().unwrap_or("")), address));
    if entry["empty_layer"] == true {
        out.insert("empty_layer".into(), true.into());
    }
    if let Some(comment) = entry["comment"].as_str().filter(|text| !text.is_empty()) {
        out.insert("comment".into(), comment.into());
    }
    if is_fixed(&entry["created"]) {
        out.insert("created".into(), entry["created"].clone());
    }
    out.into()
}

/// Without members that are absent, null, empty or false: all of these mean the same.
fn clean(config: &Value) -> Value {
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    };
    let members = config.as_object().into_iter().flatten().filter(|(_, value)| says_something(value));
    Value::Object(members.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// A time before 2025 is none at which this was built.
fn is_fixed(time: &Value) -> bool {
    let year = time.as_str().and_then(|text| text.get(..4)).and_then(|year| year.parse::<u32>().ok());
    year.is_some_and(|year| (1900..2025).contains(&year))
}

fn common<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Replaces the address of the local server by `{{HTTP}}`.
fn hide(value: Value, address: Option<&str>) -> Value {
    let Some(address) = address else { return value };
    let replaced = |text: &str| text.replace(address, "{{HTTP}}");
    match value {
        Value::String(text) => replaced(&text).into(),
        Value::Array(items) => items.into_iter().map(|item| hide(item, Some(address))).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| (replaced(&key), hide(value, Some(address))))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

#[test]
fn cleans_and_hides() {
    let config =
        json!({"Cmd": ["a"], "User": "", "Env": [], "ArgsEscaped": false, "Labels": {"u": "http://1:2/"}});
    assert_eq!(hide(clean(&config), Some("1:2")), json!({"Cmd": ["a"], "Labels": {"u": "http://{{HTTP}}/"}}));
    assert!(is_fixed(&json!("1970-01-01T00:00:00Z")) && !is_fixed(&json!("2026-01-01T00:00:00Z")));
}
