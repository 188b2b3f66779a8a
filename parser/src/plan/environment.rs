//! Variables in order of their most recent assignment.
//!
//! The maps are persistent: a copy shares everything with its original until one of them changes, and then all but
//! the path to the change. Each RUN keeps the environment that it sees and each stage starts with that of another one,
//! so in a file of thousands of variables plain copies would take quadratic time.

use std::sync::Arc;

use imbl::{HashMap, OrdMap};
use serde::{Serialize, Serializer};

use super::config_env::ConfigEnv;
use crate::expand::Lookup;

/// A variable and its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) name: Arc<str>,
    pub(super) value: Arc<str>,
}

/// The environment of a process.
#[derive(Debug, Clone, Default)]
pub struct Environment(OrdMap<Time, Arc<Assigned>>);

impl Environment {
    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.values().map(|assigned| (&*assigned.name, &*assigned.value))
    }

    /// A copy of all names and values.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// When something was assigned is only a means to the order.
impl PartialEq for Environment {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0) || self.0.values().eq(other.0.values())
    }
}

impl Eq for Environment {}

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// When a variable was assigned, as far as the order depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Time {
    /// By an ARG in a stage below.
    Earlier(u64),
    /// When the stage started, by the entry of the configuration at this place.
    AtStart(usize),
    /// In the stage.
    Here(u64),
}

/// What expansion and RUN see: ENV and ARG together. A new assignment moves a name to the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    by_time: OrdMap<Time, Arc<Assigned>>,
    by_name: HashMap<Arc<str>, (Time, Arc<Assigned>)>,
    clock: u64,
}

impl Variables {
    /// Assigns, and hands out what was stored.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Arc<Assigned> {
        let assigned = Arc::new(Assigned { name: name.into(), value: value.into() });
        let time = Time::Here(self.tick());
        self.put(time, Arc::clone(&assigned));
        assigned
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn put(&mut self, time: Time, assigned: Arc<Assigned>) {
        let name = Arc::clone(&assigned.name);
        if let Some((before, _)) = self.by_name.insert(name, (time, Arc::clone(&assigned))) {
            self.by_time.remove(&before);
        }
        self.by_time.insert(time, assigned);
    }

    /// The start of a stage: what the configuration has is assigned again, in its order. Only what was assigned since
    /// the last start has to be looked at; that is handed out.
    pub(super) fn restart(&mut self, env: &ConfigEnv) -> Vec<Arc<Assigned>> {
        let mut since: Vec<_> =
            self.by_time.range(Time::Here(0)..).map(|(_, each)| Arc::clone(each)).collect();
        for assigned in &mut since {
            let time = match env.last(&assigned.name) {
                Some((place, value)) => {
                    let name = Arc::clone(&assigned.name);
                    *assigned = Arc::new(Assigned { name, value: value.into() });
                    Time::AtStart(place)
                }
                None => Time::Earlier(self.tick()),
            };
            self.put(time, Arc::clone(assigned));
        }
        since
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_time.values().map(|assigned| &*assigned.name)
    }

    pub(super) fn assigned(&self, name: &str) -> Option<&Arc<Assigned>> {
        self.by_name.get(name).map(|(_, assigned)| assigned)
    }

    /// All of them.
    pub(super) fn environment(&self) -> Environment {
        Environment(self.by_time.clone())
    }
}

impl Lookup for Variables {
    fn get(&self, name: &str) -> Option<&str> {
        self.assigned(name).map(|assigned| &*assigned.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn assignments_move_to_the_end() {
        let mut variables = Variables::default();
        for (name, value) in [("A", "1"), ("B", "2"), ("A", "3")] {
            variables.set(name, value);
        }
        let before = variables.environment();
        assert_eq!(before.pairs(), pairs(&[("B", "2"), ("A", "3")]));
        assert_eq!((variables.get("A"), variables.get("C")), (Some("3"), None));
        variables.set("B", "4");
        assert_eq!(variables.environment().pairs(), pairs(&[("A", "3"), ("B", "4")]));
        assert_eq!(before.pairs(), pairs(&[("B", "2"), ("A", "3")]), "what was handed out stays");
        assert_ne!(before, variables.environment());
        variables.set("A", "3");
        assert_ne!(before, variables.environment());
        variables.set("B", "2");
        variables.set("A", "3");
        assert_eq!(before, variables.environment(), "times do not count");
    }

    #[test]
    fn a_stage_starts_in_the_order_of_its_configuration() {
        let mut env = ConfigEnv::new(&["A=1".to_owned(), "B=2".to_owned(), "A=3".to_owned()]);
        let mut variables = Variables::default();
        for (name, value) in [("X", "x"), ("B", "arg"), ("A", "arg"), ("Y", "y")] {
            variables.set(name, value);
        }
        variables.restart(&env);
        assert_eq!(variables.environment().pairs(), pairs(&[("X", "x"), ("Y", "y"), ("B", "2"), ("A", "3")]));
        env.set("B", "4");
        variables.set("B", "4");
        variables.set("X", "again");
        variables.restart(&env);
        let expected = pairs(&[("Y", "y"), ("X", "again"), ("B", "4"), ("A", "3")]);
        assert_eq!(variables.environment().pairs(), expected);
        assert_eq!(variables.get("X"), Some("again"));
    }
}
