//! What an instruction copies: wildcards, `--parents` and `--exclude` applied to a source (spec 3.3, 3.4).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rbuild_image::layer::View;
use rbuild_parser::chmod::SymbolicMode;
use rbuild_parser::plan::{Chmod, Copy, CopySource, Root};

use super::error::CopyError;
use super::fetch::{Fetch, Fetched};
use super::owner::{self, Owner};
use super::tree::{Attributes, XattrSource};
use super::wildcard;
use crate::context::path::{base_name, clean, join, show};
use crate::context::{ContentHash, Context, Found, Item, Kind, Meta, Permissions, Sieve};
use crate::fetch::git::Checkout;

/// What would be copied, in the order in which it would be.
pub struct Selection {
    pub(crate) copy: Copy,
    pub(crate) source: Arc<Context>,
    pub(crate) rules: Rules,
    pub(crate) picks: Vec<Pick>,
    /// Hashes of files that changed too recently to be remembered, by their path in the source.
    pub(crate) hashed: Mutex<HashMap<Vec<u8>, ContentHash>>,
    /// It was found out that no entry has extended attributes.
    pub(crate) plain: AtomicBool,
}

/// What `--chown` and `--chmod` make of an entry.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) owner: Option<Owner>,
    pub(crate) chmod: Option<Chmod>,
    /// What the destination is to look like where it is made; else it is as any directory that leads to it.
    pub(crate) top: Option<(Owner, u32)>,
}

/// One source, or one of the matches of a wildcard.
pub(crate) enum Pick {
    /// Anything but a directory.
    File {
        /// Its path in the source, links resolved.
        at: Vec<u8>,
        /// Its name as written or matched, by which it goes into a directory.
        name: Vec<u8>,
        item: Item,
    },
    /// The content of a directory.
    Tree {
        at: Vec<u8>,
        meta: Meta,
        items: Vec<Item>,
        /// What stands for the content in the key, where the content is not to be looked at.
        identity: Option<ContentHash>,
    },
    /// A heredoc.
    Inline { name: Vec<u8>, data: Vec<u8> },
    /// A download.
    Fetched(Fetched),
}

/// Applies the rules of COPY and ADD to a source. Nothing is written; with `--chown` by name the file system of
/// the destination is asked.
///
/// # Errors
/// A source that is not there, a malformed pattern, an unusable owner, or files that cannot be read.
pub fn select(
    copy: &Copy,
    source: &Arc<Context>,
    dest: &View,
    fetch: &dyn Fetch,
) -> Result<Selection, CopyError> {
    let names = (!copy.link && dest.root().depth() > 0).then_some(dest);
    let owner = match copy.chown.as_deref() {
        None | Some("") => None,
        Some(spec) => Some(owner::resolve(spec, names)?),
    };
    check_sources(copy)?;
    let exclude = match copy.exclude.as_slice() {
        [] => None,
        patterns => Some(Sieve::excluding(patterns)?),
    };
    let checkouts = checkouts(copy, source, fetch)?;
    let source = &Arc::new(source.with_beside(checkouts.folders));
    let selector = Selector { copy, source, exclude };
    let mut checkouts = checkouts.found.iter().enumerate().map(|(number, it)| selector.checkout(number, it));
    let mut picks = Vec::new();
    for one in &copy.sources {
        match one {
            CopySource::Path(path) if copy.parents => selector.parents(path, &mut picks)?,
            CopySource::Path(path) => selector.path(path, &mut picks)?,
            CopySource::Inline(file) => picks.push(Pick::Inline {
                name: file.name.clone().into_bytes(),
                data: file.data.clone().into_bytes(),
            }),
            CopySource::Http(url) => {
                picks.push(Pick::Fetched(fetch.fetch(url, copy.checksum.as_deref())?));
            }
            CopySource::Git(_) => picks.push(checkouts.next().expect("there is one for each")?),
        }
    }
    let rules = Rules { owner, chmod: copy.chmod.clone(), top: None };
    Ok(Selection {
        copy: copy.clone(),
        source: source.clone(),
        rules,
        picks,
        hashed: Mutex::default(),
        plain: AtomicBool::new(false),
    })
}

/// The repositories that an ADD names.
#[derive(Default)]
struct Checkouts {
    found: Vec<Checkout>,
    folders: Vec<Context>,
}

fn checkouts(copy: &Copy, source: &Context, fetch: &dyn Fetch) -> Result<Checkouts, CopyError> {
    let mut checkouts = Checkouts::default();
    for one in &copy.sources {
        if let CopySource::Git(url) = one {
            let found = fetch.checkout(url, copy.checksum.as_deref(), copy.keep_git_dir)?;
            checkouts.folders.push(Context::folder(
                &found.parent,
                None,
                Permissions::AsFound,
                source.shared_hashes(),
            )?);
            checkouts.found.push(found);
        }
    }
    Ok(checkouts)
}

fn check_sources(copy: &Copy) -> Result<(), CopyError> {
    if copy.checksum.is_none() {
        return Ok(());
    }
    let refuse = |text: &str| Err(CopyError::Unsupported(text.to_owned()));
    match copy.sources.as_slice() {
        [CopySource::Http(_) | CopySource::Git(_)] => Ok(()),
        [_] => refuse("checksum requires HTTP(S) or Git sources"),
        _ => refuse("checksum can't be specified for multiple sources"),
    }
}

impl Selection {
    /// The destination becomes what the only source is, if that is a directory: what a mount shows is the directory
    /// itself. The root of a context belongs to whoever calls us, and is not shown.
    #[must_use]
    pub(crate) fn with_top(mut self) -> Self {
        if let [Pick::Tree { at, meta, .. }] = &self.picks[..]
            && !at.is_empty()
        {
            let look = (self.rules.owner(meta), meta.mode);
            // As it would be made anyway: then nothing says so in the key, as ever.
            self.rules.top = Some(look).filter(|look| *look != self.rules.made_dirs());
        }
        self
    }
}

impl Selection {
    /// Whether it was looked at for its digest, and no entry has extended attributes.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }
}

impl Rules {
    /// Permission bits of an entry, from those in the source.
    pub(crate) fn mode(&self, meta: &Meta) -> Result<u32, CopyError> {
        match &self.chmod {
            _ if meta.kind == Kind::Symlink => Ok(0o777),
            None => Ok(meta.mode),
            Some(Chmod::Octal(mode)) => Ok(mode & 0o7777),
            Some(Chmod::Symbolic(text)) => SymbolicMode::parse(text)
                .map(|mode| mode.apply(meta.mode, meta.kind == Kind::Dir))
                .map_err(|cause| CopyError::Chmod { mode: text.clone(), cause: cause.to_string() }),
        }
    }

    /// Owner of an entry.
    pub(crate) fn owner(&self, meta: &Meta) -> Owner {
        self.owner.unwrap_or(Owner { uid: meta.uid, gid: meta.gid })
    }

    /// Owner and mode of directories that lead to the destination.
    pub(crate) fn made_dirs(&self) -> (Owner, u32) {
        if let Some(top) = self.top {
            return top;
        }
        let mode = match &self.chmod {
            Some(Chmod::Octal(mode)) => mode & 0o777,
            _ => 0o755,
        };
        (self.owner.unwrap_or(Owner::ROOT), mode)
    }

    /// The same for directories that lead to where an archive is unpacked.
    pub(crate) fn unpacked_dirs(&self) -> Attributes {
        Attributes {
            owner: self.owner.unwrap_or(Owner::ROOT),
            mode: 0o755,
            mtime: None,
            xattrs: XattrSource::NONE,
        }
    }
}

struct Selector<'a> {
    copy: &'a Copy,
    source: &'a Context,
    exclude: Option<Sieve>,
}

impl Selector<'_> {
    /// A source without `--parents`.
    fn path(&self, written: &str, picks: &mut Vec<Pick>) -> Result<(), CopyError> {
        let path = clean(written.as_bytes());
        let Some((prefix, pattern)) = wildcard::split(&path) else {
            let at = self.source.resolve(&path, true)?;
            let found = self.source.stat(&at)?.ok_or_else(|| self.missing(&path))?;
            return self.pick(at, base_name(&path).to_vec(), found, picks);
        };
        for matched in self.expand(prefix, pattern)? {
            let at = self.source.resolve(&matched, true)?;
            let found = self.source.stat(&at)?.ok_or_else(|| self.no_such_file(&at))?;
            self.pick(at, base_name(&matched).to_vec(), found, picks)?;
        }
        Ok(())
    }

    /// A source with `--parents`: a base directory of which only what matches is taken.
    fn parents(&self, written: &str, picks: &mut Vec<Pick>) -> Result<(), CopyError> {
        let (base, pattern) = written.split_once("/./").unwrap_or(("", written));
        let base = clean(base.as_bytes());
        let pattern = String::from_utf8_lossy(&clean(pattern.as_bytes())).into_owned();
        let bases = match wildcard::split(&base) {
            Some((prefix, wild)) => self.expand(prefix, wild)?,
            None => vec![base.clone()],
        };
        if !wildcard::is_wild(&base) && !wildcard::is_wild(pattern.as_bytes()) {
            let whole = join(&base, pattern.as_bytes());
            // Links are not followed here, so a path that leads through one is not there.
            let direct = self.source.resolve(&whole, false)? == whole;
            if !direct || self.source.stat(&whole)?.is_none() {
                return Err(self.missing(&whole));
            }
        }
        let sieve = if pattern.is_empty() { None } else { Some(Sieve::taking(pattern.clone())?) };
        for base in bases {
            let at = self.source.resolve(&base, true)?;
            let Some(found) = self.source.stat(&at)?.filter(|it| it.meta.kind == Kind::Dir) else {
                return Err(self.missing(&join(&base, pattern.as_bytes())));
            };
            let sieves: Vec<&Sieve> = sieve.iter().chain(&self.exclude).collect();
            let items = self.source.walk(&at, &sieves)?;
            picks.push(Pick::Tree { at, meta: found.meta, items, identity: None });
        }
        Ok(())
    }

    /// The files of a commit. In the key stands the commit, which says all: `.git` is never twice the same.
    fn checkout(&self, number: usize, found: &Checkout) -> Result<Pick, CopyError> {
        let at = found.path.clone().into_bytes();
        let sieves: Vec<&Sieve> = self.exclude.iter().collect();
        let number = u32::try_from(number).expect("an instruction has fewer sources");
        let items = self.source.walk_beside(number, &at, &sieves)?;
        let identity = Some(*blake3::hash(&at).as_bytes());
        Ok(Pick::Tree { at, meta: Meta::of_nothing(), items, identity })
    }

    fn pick(&self, at: Vec<u8>, name: Vec<u8>, found: Found, picks: &mut Vec<Pick>) -> Result<(), CopyError> {
        picks.push(if found.meta.kind == Kind::Dir {
            let sieves: Vec<&Sieve> = self.exclude.iter().collect();
            let items = self.source.walk(&at, &sieves)?;
            Pick::Tree { at, meta: found.meta, items, identity: None }
        } else {
            let Found { layer, meta, link, .. } = found;
            Pick::File { at, name, item: Item { path: Vec::new(), layer, meta, link } }
        });
        Ok(())
    }

    /// The paths that match a pattern below a literal prefix, links in the prefix resolved.
    fn expand(&self, prefix: &[u8], pattern: &[u8]) -> Result<Vec<Vec<u8>>, CopyError> {
        let start = self.source.resolve(prefix, true)?;
        if self.source.stat(&start)?.is_none() {
            return Err(self.no_such_file(prefix));
        }
        wildcard::expand(self.source, start, pattern)
    }

    fn missing(&self, path: &[u8]) -> CopyError {
        match &self.copy.from {
            Root::Base(_) => self.no_such_file(path),
            from => {
                let from = match from {
                    Root::NamedContext(name) => format!("context {name}"),
                    Root::Scratch => "scratch".to_owned(),
                    Root::Step(step) => format!("step {}", step.0),
                    Root::MainContext | Root::Base(_) => "context".to_owned(),
                };
                let help = super::hint::for_missing(self.source, path);
                CopyError::NotFound { from, path: show(path), help }
            }
        }
    }

    fn no_such_file(&self, path: &[u8]) -> CopyError {
        CopyError::NoSuchFile { path: show(path), help: super::hint::for_missing(self.source, path) }
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection").field("picks", &self.picks.len()).finish_non_exhaustive()
    }
}
