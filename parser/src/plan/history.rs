//! What the history says of each instruction.

use std::fmt;
use std::sync::Arc;

use imbl::{HashMap, Vector};
use serde::{Serialize, Serializer};

use super::environment::Assigned;

/// The ARGs that are declared: in order, each once, with the value that the variable has now.
#[derive(Debug, Clone, Default)]
pub(super) struct Arguments {
    list: Vector<Arc<Assigned>>,
    places: HashMap<Arc<str>, usize>,
}

impl Arguments {
    pub(super) fn declare(&mut self, name: &str, variable: Option<&Arc<Assigned>>) {
        if self.is_declared(name) {
            return;
        }
        let unset = || Arc::new(Assigned { name: name.into(), value: "".into() });
        self.places.insert(name.into(), self.list.len());
        self.list.push_back(variable.map_or_else(unset, Arc::clone));
    }

    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Takes notice of an assignment.
    pub(super) fn update(&mut self, assigned: Arc<Assigned>) {
        if let Some(&place) = self.places.get(&assigned.name) {
            self.list.set(place, assigned);
        }
    }

    /// The words for a RUN that sees them.
    pub(super) fn run(&self, command: String) -> CreatedBy {
        CreatedBy { run: Some(self.list.clone()), text: command }
    }
}

/// What made an entry of the history, in BuildKit's words: the [`Display`](fmt::Display) of it.
///
/// It is put into words only when somebody asks. That of a RUN names all ARGs before it, so that in a file of thousands
/// of both the words of all entries are far longer than the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedBy {
    /// The ARGs of a RUN.
    run: Option<Vector<Arc<Assigned>>>,
    text: String,
}

impl From<String> for CreatedBy {
    fn from(text: String) -> Self {
        Self { run: None, text }
    }
}

impl fmt::Display for CreatedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(arguments) = &self.run else { return f.write_str(&self.text) };
        f.write_str("RUN ")?;
        if !arguments.is_empty() {
            write!(f, "|{} ", arguments.len())?;
        }
        for Assigned { name, value } in arguments.iter().map(|argument| &**argument) {
            write!(f, "{name}={value} ")?;
        }
        write!(f, "{} # buildkit", self.text)
    }
}

impl Serialize for CreatedBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
