//! `--ulimit`: what one process may take, in docker's words.

use std::fmt;
use std::str::FromStr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// The names, as `setrlimit(2)` has them without `RLIMIT_`, in lower case. There is none for address space: docker
/// has none.
const NAMES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// A limit of one process. The units are those of `setrlimit(2)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Ulimit {
    resource: Resource,
    /// None for no limit.
    soft: Option<u64>,
    /// None for no limit.
    hard: Option<u64>,
}

/// Why a text is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UlimitError {
    /// Without `=`.
    #[error("it is not of the form NAME=SOFT[:HARD]")]
    Form,
    /// A resource that there is not.
    #[error("no such limit {0:?} ({names})", names = NAMES.map(|(name, _)| name).join(", "))]
    Name(String),
    /// Neither a number nor -1.
    #[error("{0:?} is no number, nor -1 for no limit")]
    Value(String),
    /// A process could never reach it.
    #[error("the soft limit must not be above the hard one: {soft} > {hard}")]
    Order {
        /// The soft limit.
        soft: String,
        /// The hard limit.
        hard: String,
    },
}

impl Ulimit {
    /// Sets the limit for this process, and those that it starts. Who may not raise the hard limit gets as much as is
    /// allowed.
    pub(crate) fn set(&self) {
        let wanted = Rlimit { current: self.soft, maximum: self.hard };
        if setrlimit(self.resource, wanted).is_err() {
            let most = getrlimit(self.resource).maximum;
            let within = |limit: Option<u64>| match (limit, most) {
                (Some(limit), Some(most)) => Some(limit.min(most)),
                (limit, most) => limit.or(most),
            };
            let allowed = Rlimit { current: within(self.soft), maximum: within(self.hard) };
            // What is not allowed either stays as it was.
            let _ = setrlimit(self.resource, allowed);
        }
    }

    fn name(&self) -> &'static str {
        let known = NAMES.iter().find(|(_, resource)| *resource == self.resource);
        known.expect("it was made of one of them").0
    }
}

impl FromStr for Ulimit {
    type Err = UlimitError;

    /// `NAME=SOFT[:HARD]`; without the second the hard limit is the soft one.
    fn from_str(text: &str) -> Result<Self, UlimitError> {
        let (name, values) = text.split_once('=').ok_or(UlimitError::Form)?;
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let &(_, resource) = known.ok_or_else(|| UlimitError::Name(name.to_owned()))?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let limits = Self { resource, soft: value(soft)?, hard: value(hard)? };
        if limits.hard.is_some_and(|hard| limits.soft.is_none_or(|soft| soft > hard)) {
            return Err(UlimitError::Order { soft: soft.to_owned(), hard: hard.to_owned() });
        }
        Ok(limits)
    }
}

fn value(text: &str) -> Result<Option<u64>, UlimitError> {
    match text {
        "-1" | "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| UlimitError::Value(text.to_owned())),
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
        write!(f, "{}={}:{}", self.name(), text(self.soft), text(self.hard))
    }
}

impl From<Ulimit> for String {
    fn from(limit: Ulimit) -> Self {
        limit.to_string()
    }
}

impl TryFrom<String> for Ulimit {
    type Error = UlimitError;

    fn try_from(text: String) -> Result<Self, UlimitError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_takes() {
        for (text, want) in [
            ("nofile=1024", Ok("nofile=1024:1024")),
            ("nproc=5:10", Ok("nproc=5:10")),
            ("core=-1", Ok("core=-1:-1")),
            ("core=0:-1", Ok("core=0:-1")),
            ("nofile", Err("it is not of the form NAME=SOFT[:HARD]")),
            ("nofile=", Err("\"\" is no number, nor -1 for no limit")),
            ("nofile=1:2:3", Err("\"2:3\" is no number, nor -1 for no limit")),
            ("nofile=5:4", Err("the soft limit must not be above the hard one: 5 > 4")),
            ("nofile=-1:4", Err("the soft limit must not be above the hard one: -1 > 4")),
        ] {
            let found = text.parse::<Ulimit>().map(|limit| limit.to_string()).map_err(|why| why.to_string());
            assert_eq!(found, want.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
        let unknown = "files=1".parse::<Ulimit>().expect_err("no such limit").to_string();
        assert!(unknown.starts_with("no such limit \"files\" (core, cpu, data, "), "{unknown}");
    }
}
