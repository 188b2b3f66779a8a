//! One interface over everything that files can be copied from.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use rbuild_image::layer::{Node, View};
use rbuild_parser::pattern::IgnorePatterns;
use rustix::fs::OFlags;

use super::error::ContextError;
use super::folder::{Folder, open_below};
use super::hashes::HashCache;
use super::layers::Layers;
use super::meta::{Kind, Meta};
use super::path::{clean, components, join};
use super::permissions::Permissions;
use super::sieve::{Mark, Sieve, Verdict};
use super::xattr::{self, Xattrs};

/// Links that may be followed on the way to one path, as in BuildKit's `RootPath`.
const MAX_LINKS: u32 = 255;

/// A tree of files that COPY, ADD and bind mounts take from.
///
/// All paths are relative to its root and cannot leave it: links are resolved inside. Nothing is read before
/// it is asked for.
#[derive(Debug)]
pub struct Context {
    tree: Arc<Tree>,
    hashes: Arc<HashCache>,
    /// Folders whose entries count as layers from [`BESIDE`] on.
    beside: Vec<Self>,
}

/// Number of the first folder beside a source, above those of all layers.
const BESIDE: u32 = 1 << 30;

#[derive(Debug)]
enum Tree {
    Folder(Folder),
    Layers(Layers),
}

/// An entry of a directory of a source.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) name: Vec<u8>,
    /// Which of several layers has it, see [`Context::root_of`].
    pub(crate) layer: u32,
    pub(crate) meta: Meta,
    /// Target of a link, verbatim.
    pub(crate) link: Option<Vec<u8>>,
    /// The way on from here, in layers.
    pub(crate) node: Option<Node>,
}

/// An entry that a walk selected.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Path relative to the start of the walk.
    pub(crate) path: Vec<u8>,
    pub(crate) layer: u32,
    pub(crate) meta: Meta,
    pub(crate) link: Option<Vec<u8>>,
}

impl Context {
    /// A folder of the host: the main context or a named one, with the patterns of its ignore file.
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn folder(
        path: &Path,
        ignore: Option<IgnorePatterns>,
        permissions: Permissions,
        hashes: Arc<HashCache>,
    ) -> Result<Self, ContextError> {
        let ignore = ignore.filter(|patterns| !patterns.is_empty()).map(Sieve::ignoring);
        let folder = Folder::open(path, ignore, permissions)?;
        Ok(Self { tree: Arc::new(Tree::Folder(folder)), hashes, beside: Vec::new() })
    }

    /// The merged tree of a chain of layers: `COPY --from`.
    #[must_use]
    pub fn layers(view: View, hashes: Arc<HashCache>) -> Self {
        Self { tree: Arc::new(Tree::Layers(Layers::new(view))), hashes, beside: Vec::new() }
    }

    /// The same source with further folders of the host: checkouts, which an instruction takes from beside it.
    /// They have to differ in the names at their tops.
    pub(crate) fn with_beside(&self, beside: Vec<Self>) -> Self {
        Self { tree: Arc::clone(&self.tree), hashes: Arc::clone(&self.hashes), beside }
    }

    /// Everything that passes all sieves below a directory of a folder beside the source, see [`Self::walk`].
    pub(crate) fn walk_beside(
        &self,
        number: u32,
        dir: &[u8],
        sieves: &[&Sieve],
    ) -> Result<Vec<Item>, ContextError> {
        let mut items = self.beside[number as usize].walk(dir, sieves)?;
        items.iter_mut().for_each(|item| item.layer = BESIDE + number);
        Ok(items)
    }

    /// Whether owners mean nothing here and sockets arrive as files: a folder of the host.
    pub(crate) fn is_folder(&self) -> bool {
        matches!(*self.tree, Tree::Folder(_))
    }

    /// For another source of the same build.
    pub(crate) fn shared_hashes(&self) -> Arc<HashCache> {
        Arc::clone(&self.hashes)
    }

    pub(crate) fn hashes(&self) -> &HashCache {
        &self.hashes
    }

    /// The directory that the paths of a layer's entries start from.
    pub(crate) fn root_of(&self, layer: u32) -> BorrowedFd<'_> {
        if let Some(beside) = layer.checked_sub(BESIDE).and_then(|number| self.beside.get(number as usize)) {
            return beside.root_of(0);
        }
        match &*self.tree {
            Tree::Folder(folder) => folder.root(),
            // Entries come from a layer that there is; no layer has none.
            Tree::Layers(layers) => layers.root_of(layer).unwrap_or(rustix::fs::CWD),
        }
    }

    /// Opens a file for reading.
    pub(crate) fn open(&self, path: &[u8], layer: u32) -> Result<File, ContextError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        open_below(self.root_of(layer), path, flags)
            .map(File::from)
            .map_err(|cause| ContextError::io("open", path, cause))
    }

    /// The extended attributes of an entry that a copy takes along.
    pub(crate) fn xattrs(&self, path: &[u8], layer: u32) -> Result<Xattrs, ContextError> {
        let fd = self.root_of(layer).as_raw_fd();
        let all = xattr::read(fd, path)
            .map_err(|cause| ContextError::io("read extended attributes of", path, cause))?;
        Ok(if self.is_folder() { xattr::sent(all) } else { all })
    }

    /// The entry at a path that has no links in it.
    pub(crate) fn stat(&self, path: &[u8]) -> Result<Option<Found>, ContextError> {
        let folder = match &*self.tree {
            Tree::Layers(layers) => return layers.stat(path),
            Tree::Folder(folder) => folder,
        };
        let Some(found) = folder.stat(path)? else { return Ok(None) };
        let Some(ignore) = &folder.ignore else { return Ok(Some(found)) };
        let visible = match judge_path(ignore, path) {
            (Verdict::Keep, _) => true,
            (Verdict::Drop, _) => false,
            (Verdict::Below, _) => found.meta.kind == Kind::Dir && !self.walk(path, &[])?.is_empty(),
        };
        Ok(visible.then_some(found))
    }

    /// Whether there is something at a path, but the ignore file hides it.
    pub(crate) fn is_ignored(&self, path: &[u8]) -> bool {
        let Tree::Folder(folder) = &*self.tree else { return false };
        matches!(folder.stat(path), Ok(Some(_))) && !matches!(self.stat(path), Ok(Some(_)))
    }

    /// What a directory holds, by name.
    pub(crate) fn list(&self, dir: &[u8]) -> Result<Vec<Found>, ContextError> {
        let mut found = self.raw_list(dir, None)?;
        let Some(ignore) = self.ignore() else { return Ok(found) };
        let (_, mark) = judge_path(ignore, dir);
        let mut visible = Vec::with_capacity(found.len());
        for entry in found.drain(..) {
            let path = join(dir, &entry.name);
            let keep = match ignore.judge(&path, &mark).0 {
                Verdict::Keep => true,
                Verdict::Drop => false,
                Verdict::Below => entry.meta.kind == Kind::Dir && !self.walk(&path, &[])?.is_empty(),
            };
            if keep {
                visible.push(entry);
            }
        }
        Ok(visible)
    }

    /// Follows the links in `path` inside the root. What does not exist is taken as it is written.
    pub(crate) fn resolve(&self, path: &[u8], last_too: bool) -> Result<Vec<u8>, ContextError> {
        resolve(path, last_too, |path| Ok(self.stat(path)?.and_then(|found| found.link)))
    }

    /// Everything below a directory that passes all sieves, parents before children, siblings by name. The
    /// paths are relative to the directory; the sieves see the same relative paths.
    pub(crate) fn walk(&self, dir: &[u8], sieves: &[&Sieve]) -> Result<Vec<Item>, ContextError> {
        let mut filters = Vec::with_capacity(sieves.len() + 1);
        let mut marks = Vec::with_capacity(sieves.len() + 1);
        if let Some(ignore) = self.ignore() {
            filters.push(Filter { sieve: ignore, whole_path: true });
            marks.push(judge_path(ignore, dir).1);
        }
        for sieve in sieves {
            filters.push(Filter { sieve, whole_path: false });
            marks.push(Mark::default());
        }
        self.visit(dir, b"", None, &filters, &marks)
    }

    fn visit(
        &self,
        top: &[u8],
        dir: &[u8],
        node: Option<&Node>,
        filters: &[Filter<'_>],
        marks: &[Mark],
    ) -> Result<Vec<Item>, ContextError> {
        let listed = self.raw_list(&join(top, dir), node)?;
        let mut here = Vec::with_capacity(listed.len());
        for found in listed {
            let path = join(dir, &found.name);
            let (verdict, marks) = judge_all(filters, marks, top, &path);
            let is_dir = found.meta.kind == Kind::Dir;
            if verdict == Verdict::Keep || (verdict == Verdict::Below && is_dir) {
                let item = Item { path, layer: found.layer, meta: found.meta, link: found.link };
                let node = found.node.filter(|_| is_dir);
                here.push((item, verdict, marks, node));
            }
        }
        let below: Vec<Result<Vec<Item>, ContextError>> = here
            .par_iter()
            .with_min_len(1)
            .filter(|(item, ..)| item.meta.kind == Kind::Dir)
            .map(|(item, _, marks, node)| self.visit(top, &item.path, node.as_ref(), filters, marks))
            .collect();
        let inside: usize = below.iter().flatten().map(Vec::len).sum();
        let mut below = below.into_iter();
        let mut items = Vec::with_capacity(here.len() + inside);
        for (item, verdict, ..) in here {
            let inside = match item.meta.kind {
                Kind::Dir => below.next().unwrap_or_else(|| Ok(Vec::new()))?,
                _ => Vec::new(),
            };
            if verdict == Verdict::Keep || !inside.is_empty() {
                items.push(item);
                items.extend(inside);
            }
        }
        Ok(items)
    }

    fn raw_list(&self, dir: &[u8], node: Option<&Node>) -> Result<Vec<Found>, ContextError> {
        let mut found = match &*self.tree {
            Tree::Folder(folder) => folder.list(dir)?,
            Tree::Layers(layers) => match layers.dir_of(dir, node)? {
                Some(dir) => Layers::list(&dir)?,
                None => Vec::new(),
            },
        };
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn ignore(&self) -> Option<&Sieve> {
        match &*self.tree {
            Tree::Folder(folder) => folder.ignore.as_ref(),
            Tree::Layers(_) => None,
        }
    }
}

struct Filter<'a> {
    sieve: &'a Sieve,
    /// It sees paths from the root of the source, not from the start of the walk.
    whole_path: bool,
}

fn judge_all(filters: &[Filter<'_>], marks: &[Mark], top: &[u8], path: &[u8]) -> (Verdict, Vec<Mark>) {
    let mut verdict = Verdict::Keep;
    let mut below = Vec::with_capacity(filters.len());
    for (filter, mark) in filters.iter().zip(marks) {
        let (one, mark) = if filter.whole_path {
            filter.sieve.judge(&join(top, path), mark)
        } else {
            filter.sieve.judge(path, mark)
        };
        verdict = verdict.max(one);
        below.push(mark);
    }
    (verdict, below)
}

fn judge_path(sieve: &Sieve, path: &[u8]) -> (Verdict, Mark) {
    let mut state = (Verdict::Keep, Mark::default());
    let mut prefix = Vec::new();
    for part in components(path) {
        prefix = join(&prefix, part);
        state = sieve.judge(&prefix, &state.1);
        if state.0 == Verdict::Drop {
            break;
        }
    }
    state
}

/// Walks the components of `path` and follows the links that `link_at` knows, inside the root (Appendix A).
pub(crate) fn resolve<E: From<ContextError>>(
    path: &[u8],
    last_too: bool,
    mut link_at: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<Vec<u8>, E> {
    let mut done: Vec<u8> = Vec::new();
    let mut rest: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == b".." {
            done = super::path::parent(&done).to_vec();
            continue;
        }
        let next = join(&done, &part);
        if rest.is_empty() && !last_too {
            return Ok(next);
        }
        let Some(target) = link_at(&next)? else {
            done = next;
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(ContextError::TooManyLinks { path: super::path::show(&clean(path)) }.into());
        }
        if target.starts_with(b"/") {
            done.clear();
        }
        rest.extend(components(&target).rev().map(<[u8]>::to_vec));
    }
    Ok(done)
}

impl From<ContextError> for io::Error {
    fn from(error: ContextError) -> Self {
        Self::other(error)
    }
}
