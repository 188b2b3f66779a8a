//! `COPY` and `ADD`

use std::collections::BTreeMap;

use super::flags::{Flag, Flags, Takes};
use super::heredoc::marker;
use super::json::JsonOr;
use crate::diagnostic::Diagnostic;
use crate::instruction::{Add, Copy, Heredoc, PathSource, Paths, strip_tabs};
use crate::lines::Logical;
use crate::source::{Span, Spanned, Text};

const COPY_FLAGS: [(&str, Takes); 6] = [
    ("chmod", Takes::Text),
    ("chown", Takes::Text),
    ("exclude", Takes::List),
    ("from", Takes::Text),
    ("link", Takes::Bool),
    ("parents", Takes::Bool),
];

const ADD_FLAGS: [(&str, Takes); 7] = [
    ("checksum", Takes::Text),
    ("chmod", Takes::Text),
    ("chown", Takes::Text),
    ("exclude", Takes::List),
    ("keep-git-dir", Takes::Bool),
    ("link", Takes::Bool),
    ("unpack", Takes::Bool),
];

/// The arguments with their places. Elements of a JSON array have that of the whole array.
pub(super) struct Words {
    words: Vec<Spanned<Text>>,
    json: bool,
}

impl Words {
    pub(super) fn new(line: &Logical<'_>, list: JsonOr<Vec<&str>>, span: Span) -> Self {
        match list {
            JsonOr::Json(elements) => {
                let words = elements.into_iter().map(|element| Spanned::new(element.into(), span)).collect();
                Self { words, json: true }
            }
            JsonOr::Other(words) => {
                Self { words: words.into_iter().map(|word| line.spanned(word)).collect(), json: false }
            }
        }
    }
}

pub(super) fn copy(
    line: &Logical<'_>,
    flags: &[Flag<'_>],
    words: Words,
    heredocs: &[Heredoc],
) -> Result<Copy, Diagnostic> {
    let words = at_least_two(words, "COPY")?;
    let flags = Flags::check(line, flags, &COPY_FLAGS)?;
    Ok(Copy {
        paths: paths(words, heredocs, "COPY")?,
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.bool("link"),
        parents: flags.bool("parents"),
        exclude: flags.list("exclude"),
    })
}

pub(super) fn add(
    line: &Logical<'_>,
    flags: &[Flag<'_>],
    words: Words,
    heredocs: &[Heredoc],
) -> Result<Add, Diagnostic> {
    let words = at_least_two(words, "ADD")?;
    let flags = Flags::check(line, flags, &ADD_FLAGS)?;
    Ok(Add {
        paths: paths(words, heredocs, "ADD")?,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.bool("link"),
        keep_git_dir: flags.bool("keep-git-dir"),
        checksum: flags.text("checksum"),
        unpack: flags.bool("unpack"),
        exclude: flags.list("exclude"),
    })
}

fn at_least_two(words: Words, keyword: &str) -> Result<Words, Diagnostic> {
    if words.words.len() >= 2 {
        return Ok(words);
    }
    let why = "but only one was provided. Destination could not be determined";
    Err(Diagnostic::new(format!("{keyword} requires at least two arguments, {why}")))
}

fn paths(words: Words, heredocs: &[Heredoc], keyword: &str) -> Result<Paths, Diagnostic> {
    let Words { mut words, json } = words;
    let dest = words.pop().ok_or_else(|| Diagnostic::new(format!("{keyword} has no destination")))?;
    if matches!(marker(&dest.value), Ok(Some(_))) {
        let message = format!("{keyword} cannot accept a heredoc as a destination");
        return Err(Diagnostic::new(message).at(dest.span));
    }
    // Of two with the same name the last one wins.
    let bodies = heredocs.iter().map(|heredoc| (heredoc.name.as_str(), heredoc.body.as_str())).collect();
    let sources = words.into_iter().map(|word| source(word, &bodies)).collect();
    Ok(Paths { sources, dest, json })
}

/// Bodies are found by name. A marker in a JSON array has none: it is empty.
fn source(word: Spanned<Text>, bodies: &BTreeMap<&str, &str>) -> PathSource {
    let Ok(Some(marker)) = marker(&word.value) else { return PathSource::Path(word) };
    let body = bodies.get(marker.name.as_str()).copied().unwrap_or_default();
    let content = if marker.strip_tabs { strip_tabs(body) } else { body.to_owned() };
    PathSource::Heredoc { name: marker.name, expand: marker.expand, content, word }
}
