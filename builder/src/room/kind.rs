//! The kinds of things that the build cache is made of.

use std::fmt;
use std::str::FromStr;

/// What an item is. The words are those of `docker buildx du`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The result of a step.
    Regular,
    /// A folder of RUN --mount=type=cache.
    CacheMount,
    /// A repository with its checkouts.
    Git,
    /// A download.
    Http,
    /// What an instruction copied last, so that it copies less next time.
    Internal,
    /// What a failed step left, to be looked at.
    Failed,
}

const WORDS: [(Kind, &str); 6] = [
    (Kind::Regular, "regular"),
    (Kind::CacheMount, "exec.cachemount"),
    (Kind::Git, "source.git.checkout"),
    (Kind::Http, "source.http"),
    (Kind::Internal, "internal"),
    (Kind::Failed, "failed"),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, word)| word);
        f.pad(word)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = WORDS.iter().find(|(_, word)| *word == text).map(|(kind, _)| *kind);
        found.ok_or_else(|| {
            let words: Vec<&str> = WORDS.iter().map(|(_, word)| *word).collect();
            format!("there is no type {text:?}, but {}", words.join(", "))
        })
    }
}
