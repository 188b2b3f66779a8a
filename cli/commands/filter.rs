//! `rbuild images --filter`.

use rbuild_image::reference::Reference;
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;

use super::find;
use super::images::Entry;
use crate::exit::Failure;

/// What a line of the list has to be. Filters of one kind are alternatives, those of different kinds all hold.
#[derive(Debug, Default)]
pub(super) struct Filters {
    dangling: Option<bool>,
    labels: Vec<(String, Option<String>)>,
    references: Vec<String>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl Filters {
    /// Of the texts after `--filter`.
    pub(super) fn parse(texts: &[String], store: &Store) -> Result<Self, Failure> {
        let mut filters = Self::default();
        for text in texts {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Failure::usage(format!("invalid filter '{text}': bad format of filter (expected name=value)"))
            })?;
            match key {
                "dangling" => {
                    let wrong = || Failure::usage(format!("invalid filter 'dangling={value}'"));
                    filters.dangling = Some(matches!(value, "true" | "1"));
                    if !matches!(value, "true" | "false" | "1" | "0") {
                        return Err(wrong());
                    }
                }
                "label" => {
                    let (name, value) =
                        value.split_once('=').map_or((value, None), |(n, v)| (n, Some(v.to_owned())));
                    filters.labels.push((name.to_owned(), value));
                }
                "reference" => filters.references.push(value.to_owned()),
                "before" => filters.before = find::image(store, value)?.config.created,
                "since" => filters.since = find::image(store, value)?.config.created,
                _ => return Err(Failure::usage(format!("invalid filter '{key}'"))),
            }
        }
        Ok(filters)
    }

    /// `rbuild images NAME`: a repository, or one tag of it.
    pub(super) fn add_repository(&mut self, pattern: &str) {
        self.references.push(pattern.to_owned());
    }

    /// True if the line is to be shown.
    pub(super) fn accept(&self, entry: &Entry) -> bool {
        let labels = &entry.image.config.config.labels;
        let has = |(name, value): &(String, Option<String>)| match (labels.get(name), value) {
            (Some(have), Some(want)) => have == want,
            (have, None) => have.is_some(),
            (None, Some(_)) => false,
        };
        let created = entry.image.config.created;
        self.dangling.is_none_or(|want| want == entry.name.is_none())
            && self.labels.iter().all(has)
            && (self.references.is_empty()
                || entry.name.as_ref().is_some_and(|n| self.references.iter().any(|p| matches_name(p, n))))
            && self.before.is_none_or(|limit| created < Some(limit))
            && self.since.is_none_or(|limit| created > Some(limit))
    }
}

/// True if a pattern (`*`, `?`, `[a-z]`, none of them over a `/`) is the name with or without its tag, the familiar
/// or the whole one.
fn matches_name(pattern: &str, name: &Reference) -> bool {
    let (familiar, canonical) = (name.familiar(), name.canonical());
    let repository = name.familiar_repository();
    [&familiar, &canonical, &repository].into_iter().any(|text| glob(pattern.as_bytes(), text.as_bytes()))
}

/// Go's path.Match.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
    match first {
        b'*' => {
            let longest = text.iter().position(|c| *c == b'/').unwrap_or(text.len());
            (0..=longest).any(|n| glob(rest, &text[n..]))
        }
        b'?' => text.split_first().is_some_and(|(c, tail)| *c != b'/' && glob(rest, tail)),
        b'[' => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == b']').map(|p| p + 1) else { return false };
            let Some((c, tail)) = text.split_first() else { return false };
            in_class(&rest[..end], *c) && glob(&rest[end + 1..], tail)
        }
        b'\\' if !rest.is_empty() => text.first() == rest.first() && glob(&rest[1..], &text[1..]),
        c => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

fn in_class(class: &[u8], c: u8) -> bool {
    let (negated, mut class) = match class.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    while let Some((low, rest)) = class.split_first() {
        let (high, rest) = match rest {
            [b'-', high, rest @ ..] => (high, rest),
            _ => (low, rest),
        };
        found |= (*low..=*high).contains(&c);
        class = rest;
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let name: Reference = "example.com/team/app:1.2".parse().expect("a name");
        let short: Reference = "busybox:latest".parse().expect("a name");
        for (pattern, name, want) in [
            ("busybox", &short, true),
            ("busy*", &short, true),
            ("busybox:latest", &short, true),
            ("busybox:1*", &short, false),
            ("*:latest", &short, true),
            ("docker.io/library/busybox:latest", &short, true),
            ("*", &name, false),
            ("*/*/*", &name, true),
            ("example.com/team/app", &name, true),
            ("example.com/team/ap?:1.[0-9]", &name, true),
            ("example.com/team/ap?:1.[^0-9]", &name, false),
            ("example.com/team/app:1.[", &name, false),
        ] {
            assert_eq!(matches_name(pattern, name), want, "{pattern}");
        }
    }
}
