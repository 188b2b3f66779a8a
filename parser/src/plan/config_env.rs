//! The `Env` of an image's configuration: variables in the order in which they first came.

use std::sync::Arc;

use imbl::{HashMap, Vector};

/// Persistent, as [`Variables`](super::environment::Variables) are, because stages start with that of another one.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigEnv {
    /// `name=value`.
    entries: Vector<Arc<str>>,
    places: HashMap<Arc<str>, Places>,
}

/// An image can have a variable twice. ENV changes the first one, and processes see the last one.
#[derive(Debug, Clone, Copy)]
struct Places {
    first: usize,
    last: usize,
}

impl ConfigEnv {
    /// That of an image.
    pub(super) fn new(entries: &[String]) -> Self {
        let mut env = Self::default();
        for (place, entry) in entries.iter().enumerate() {
            let name: Arc<str> = split(entry).0.into();
            let first = env.places.get(&name).map_or(place, |places| places.first);
            env.places.insert(name, Places { first, last: place });
            env.entries.push_back(entry.as_str().into());
        }
        env
    }

    /// ENV: in place if the image has the variable, else at the end.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}").into();
        if let Some(&Places { first, .. }) = self.places.get(name) {
            self.entries.set(first, entry);
            return;
        }
        let place = self.entries.len();
        self.places.insert(name.into(), Places { first: place, last: place });
        self.entries.push_back(entry);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Place and value of the entry that processes see.
    pub(super) fn last(&self, name: &str) -> Option<(usize, &str)> {
        let place = self.places.get(name)?.last;
        self.entries.get(place).map(|entry| (place, split(entry).1))
    }

    /// Names and values, as many times as they are there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| split(entry))
    }

    /// As a configuration has it.
    pub(super) fn entries(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.to_string()).collect()
    }
}

fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}
