//! COPY and ADD: flags, sources and destination (spec 3.3).

use super::options::{PlanError, fail};
use super::planner::{Planner, Site};
use super::state::State;
use super::types::{Chmod, Copy, CopySource, InlineFile, Op, Root};
use crate::chmod::SymbolicMode;
use crate::instruction::{self, PathSource, Paths};
use crate::lint::Rule;
use crate::paths::{clean, destination, source};
use crate::source::{Spanned, Text};

/// What COPY and ADD have in common.
struct Written<'i> {
    keyword: &'static str,
    paths: &'i Paths,
    chown: Option<&'i Spanned<Text>>,
    chmod: Option<&'i Spanned<Text>>,
    parents: bool,
}

/// COPY.
pub(super) fn copy(
    run: &mut Planner<'_>,
    state: &mut State,
    copy: &instruction::Copy,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    let from = match copy.from.as_ref().filter(|from| !from.value.is_empty()) {
        Some(from) => copy_root(run, from.as_str(), site)?,
        None => Root::MainContext,
    };
    let written = Written {
        keyword: "COPY",
        paths: &copy.paths,
        chown: copy.chown.as_ref(),
        chmod: copy.chmod.as_ref(),
        parents: copy.parents == Some(true),
    };
    let exclude = copy.exclude.iter().map(|pattern| pattern.value.to_string()).collect();
    let parts = Parts { from, link: copy.link == Some(true), exclude, ..Parts::default() };
    finish(run, state, &written, parts, site)
}

/// ADD.
pub(super) fn add(
    run: &mut Planner<'_>,
    state: &mut State,
    add: &instruction::Add,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    let written = Written {
        keyword: "ADD",
        paths: &add.paths,
        chown: add.chown.as_ref(),
        chmod: add.chmod.as_ref(),
        parents: false,
    };
    let checksum = match &add.checksum {
        Some(checksum) => Some(run.expand(state, checksum.as_str(), site)?).filter(|value| !value.is_empty()),
        None => None,
    };
    let exclude = add.exclude.iter().map(|pattern| pattern.value.to_string()).collect();
    let parts = Parts {
        link: add.link == Some(true),
        exclude,
        unpack: add.unpack,
        checksum,
        keep_git_dir: add.keep_git_dir,
        ..Parts::default()
    };
    finish(run, state, &written, parts, site)
}

struct Parts {
    from: Root,
    link: bool,
    exclude: Vec<String>,
    unpack: Option<bool>,
    checksum: Option<String>,
    keep_git_dir: Option<bool>,
}

impl Default for Parts {
    fn default() -> Self {
        let (exclude, unpack, checksum, keep_git_dir) = (Vec::new(), None, None, None);
        Self { from: Root::MainContext, link: false, exclude, unpack, checksum, keep_git_dir }
    }
}

fn copy_root(run: &mut Planner<'_>, from: &str, site: &Site<'_>) -> Result<Root, PlanError> {
    let origin = run.links.copy_from(from)?;
    let current = site.stage_title.to_owned();
    run.root(&origin, site.lines, |_| {
        format!(
            "cannot copy from stage {}, it needs to be defined before current stage {}",
            crate::go::quote(from),
            crate::go::quote(&current)
        )
    })
}

fn finish(
    run: &mut Planner<'_>,
    state: &mut State,
    written: &Written<'_>,
    parts: Parts,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    let mut text = written.keyword.to_owned();
    if written.parents {
        text.push_str(" --parents");
    }
    let chown = flag(run, state, written.chown, "chown", &mut text, site)?;
    let chmod_text = flag(run, state, written.chmod, "chmod", &mut text, site)?;
    let chmod = chmod_text.as_deref().map(chmod).transpose()?;
    let mut sources = Vec::new();
    let mut inline = Vec::new();
    let mut inline_names = String::new();
    for each in &written.paths.sources {
        match each {
            PathSource::Path(path) => {
                let path = run.expand(state, path.as_str(), site)?;
                text.push(' ');
                text.push_str(&path);
                sources.push(classify(&path, written)?);
                if matches!(sources.last(), Some(CopySource::Path(_))) && parts.from == Root::MainContext {
                    warn_if_ignored(run, &path, written, site);
                }
            }
            PathSource::Heredoc { name, expand, content, .. } => {
                inline_names.push_str(&format!(" <<{name}"));
                let data = if *expand { run.body(state, content, site)? } else { content.clone() };
                inline.push(CopySource::Inline(InlineFile { name: name.clone(), data }));
            }
        }
    }
    sources.append(&mut inline);
    let written_dest = run.expand(state, written.paths.dest.as_str(), site)?;
    text.push_str(&format!("{inline_names} {written_dest} # buildkit"));
    if let Some(checksum) = &parts.checksum {
        check_checksum(checksum, &sources)?;
    }
    let copy = Copy {
        add: written.keyword == "ADD",
        from: parts.from,
        sources,
        dest: destination(&state.config.working_dir, &written_dest),
        // `--link` has no effect beside `--chmod`.
        link: parts.link && chmod.is_none(),
        chown,
        chmod,
        parents: written.parents,
        exclude: parts.exclude,
        unpack: parts.unpack,
        checksum: parts.checksum,
        keep_git_dir: parts.keep_git_dir,
    };
    run.step(state, Op::Copy(copy), text, site);
    Ok(())
}

/// Expands a flag and puts it into the history's text. An empty one counts as not given.
fn flag(
    run: &mut Planner<'_>,
    state: &State,
    written: Option<&Spanned<Text>>,
    name: &str,
    text: &mut String,
    site: &Site<'_>,
) -> Result<Option<String>, PlanError> {
    let Some(written) = written else { return Ok(None) };
    let value = run.expand(state, written.as_str(), site)?;
    if value.is_empty() {
        return Ok(None);
    }
    text.push_str(&format!(" --{name}={value}"));
    Ok(Some(value))
}

fn chmod(text: &str) -> Result<Chmod, PlanError> {
    let octal =
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| u32::from_str_radix(text, 8).ok()).flatten();
    if let Some(mode) = octal.filter(|mode| *mode <= 0o7777) {
        return Ok(Chmod::Octal(mode));
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return fail(format!(
            "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        ));
    }
    match SymbolicMode::parse(text) {
        Ok(_) => Ok(Chmod::Symbolic(text.to_owned())),
        Err(cause) => fail(cause.to_string()),
    }
}

fn classify(path: &str, written: &Written<'_>) -> Result<CopySource, PlanError> {
    let copy = written.keyword == "COPY";
    match remote_source(path) {
        Some(CopySource::Git(_)) if copy => fail("source can't be a git ref for COPY"),
        Some(_) if copy => fail("source can't be a URL for COPY"),
        Some(remote) => Ok(remote),
        // A slash in front would make a pivot of a leading `./`.
        None => Ok(CopySource::Path(if written.parents { path.to_owned() } else { source(path) })),
    }
}

/// A repository or a URL; None for a path.
pub(super) fn remote_source(path: &str) -> Option<CopySource> {
    if is_git(path) {
        return Some(CopySource::Git(path.to_owned()));
    }
    let url = path.starts_with("http://") || path.starts_with("https://");
    url.then(|| CopySource::Http(path.to_owned()))
}

/// Whether a source is a git repository. `github.com/...` without a scheme is a path.
fn is_git(path: &str) -> bool {
    if path.starts_with("git://") || path.starts_with("ssh://") {
        return true;
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        let end = path.find(['#', '?']).unwrap_or(path.len());
        return path[..end].ends_with(".git");
    }
    path.strip_prefix("git@")
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(host, repository)| !host.is_empty() && !host.contains('/') && !repository.is_empty())
}

fn check_checksum(checksum: &str, sources: &[CopySource]) -> Result<(), PlanError> {
    match sources {
        [CopySource::Git(_)] => Ok(()),
        [CopySource::Http(_)] => {
            let Some((algorithm, hex)) = checksum.split_once(':') else {
                return fail("invalid checksum digest format");
            };
            let length = match algorithm {
                "sha256" => 64,
                "sha384" => 96,
                "sha512" => 128,
                _ => return fail("unsupported digest algorithm"),
            };
            if hex.len() != length {
                return fail("invalid checksum digest length");
            }
            let valid = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if valid { Ok(()) } else { fail("invalid checksum digest format") }
        }
        [_] => fail("checksum requires HTTP(S) or Git sources"),
        _ => fail("checksum can't be specified for multiple sources"),
    }
}

fn warn_if_ignored(run: &mut Planner<'_>, path: &str, written: &Written<'_>, site: &Site<'_>) {
    let Some(ignore) = run.options.ignore.as_ref().filter(|ignore| !ignore.has_exclusions()) else { return };
    let cleaned = clean(path);
    let relative = match cleaned.trim_start_matches('/') {
        "" => ".",
        relative => relative,
    };
    if ignore.matches(relative.as_bytes()) {
        let action = if written.keyword == "COPY" { "Copy" } else { "Add" };
        run.lint.warn(Rule::CopyIgnoredFile, site.lines, || {
            format!(
                "Attempting to {action} file {} that is excluded by .dockerignore",
                crate::go::quote(&cleaned)
            )
        });
    }
}
