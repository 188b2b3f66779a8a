//! Variables in order of their most recent assignment.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::expand::Lookup;

/// So many holes are not worth closing.
const FEW: usize = 16;

/// The environment of a process, shared by all steps that see the same one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(Arc<Vec<Assignment>>);

/// Shared, because the environments of two steps differ in little.
type Assignment = Arc<(String, String)>;

impl Environment {
    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(String, String)> {
        self.0.iter().map(|pair| &**pair)
    }

    /// A copy of all names and values.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.iter().cloned().collect()
    }
}

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// What expansion and RUN see: ENV and ARG together. A new assignment moves a name to the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    /// Overwritten assignments stay as holes, so that an assignment takes constant time.
    slots: Vec<Option<Assignment>>,
    places: HashMap<String, usize>,
    shared: Option<Environment>,
}

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let place = self.slots.len();
        self.slots.push(Some(Arc::new((name.to_owned(), value.to_owned()))));
        if let Some(old) = self.places.insert(name.to_owned(), place) {
            self.slots[old] = None;
        }
        self.shared = None;
        if self.slots.len() > 2 * self.places.len() + FEW {
            self.close_holes();
        }
    }

    fn close_holes(&mut self) {
        self.slots.retain(Option::is_some);
        for (place, pair) in self.slots.iter().flatten().enumerate() {
            if let Some(known) = self.places.get_mut(&pair.0) {
                *known = place;
            }
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().flatten().map(|pair| pair.0.as_str())
    }

    /// All of them, without copying as long as nothing changes.
    pub(super) fn environment(&mut self) -> Environment {
        let slots = &self.slots;
        self.shared
            .get_or_insert_with(|| Environment(Arc::new(slots.iter().flatten().cloned().collect())))
            .clone()
    }
}

impl Lookup for Variables {
    fn get(&self, name: &str) -> Option<&str> {
        let place = *self.places.get(name)?;
        self.slots[place].as_ref().map(|pair| pair.1.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_move_to_the_end() {
        let mut variables = Variables::default();
        for (name, value) in [("A", "1"), ("B", "2"), ("A", "3")] {
            variables.set(name, value);
        }
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(variables.environment().pairs(), [pair("B", "2"), pair("A", "3")]);
        assert_eq!(variables.get("A"), Some("3"));
        assert_eq!(variables.get("C"), None);
        for number in 0..100 {
            variables.set("A", &number.to_string());
        }
        assert_eq!(variables.environment().pairs(), [pair("B", "2"), pair("A", "99")]);
        assert_eq!((variables.get("A"), variables.get("B")), (Some("99"), Some("2")));
    }
}
