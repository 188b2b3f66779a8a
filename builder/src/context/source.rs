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
        // One way into rayon's threads for all levels.
        rayon::scope(|_| self.visit(dir, &filters, marks))
    }

    /// Reads directories level by level, never recursively: the stack does not grow with the depth that a tree chose to
    /// have.
    fn visit(&self, top: &[u8], filters: &[Filter<'_>], marks: Vec<Mark>) -> Result<Vec<Item>, ContextError> {
        let mut listings = vec![self.look_into(top, b"", None, filters, &marks)?];
        let mut level = 0..1;
        while !level.is_empty() {
            let dirs = listings[level.clone()].iter().flatten();
            let dirs: Vec<_> = dirs.filter_map(|seen| Some((&seen.item.path, seen.way.as_ref()?))).collect();
            let look = |(path, way): (&Vec<u8>, &Way)| {
                self.look_into(top, path, way.node.as_ref(), filters, &way.marks)
            };
            let next = dirs.into_par_iter().map(look).collect::<Result<Vec<_>, _>>()?;
            let start = listings.len();
            let ways = listings[level].iter_mut().flatten().filter_map(|seen| seen.way.as_mut());
            ways.enumerate().for_each(|(index, way)| way.listing = start + index);
            listings.extend(next);
            level = start..listings.len();
        }
        Ok(assemble(listings))
    }

    /// What of one directory passes the filters, or has something below it that may.
    fn look_into(
        &self,
        top: &[u8],
        dir: &[u8],
        node: Option<&Node>,
        filters: &[Filter<'_>],
        marks: &[Mark],
    ) -> Result<Vec<Seen>, ContextError> {
        let listed = self.raw_list(&join(top, dir), node)?;
        let mut here = Vec::with_capacity(listed.len());
        for found in listed {
            let path = join(dir, &found.name);
            let (verdict, marks) = judge_all(filters, marks, top, &path);
            let is_dir = found.meta.kind == Kind::Dir;
            if verdict == Verdict::Keep || (verdict == Verdict::Below && is_dir) {
                let item = Item { path, layer: found.layer, meta: found.meta, link: found.link };
                let way = is_dir.then_some(Way { marks, node: found.node, listing: 0 });
                here.push(Seen { item, verdict, way });
            }
        }
        Ok(here)
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

/// An entry that a walk has come by.
struct Seen {
    item: Item,
    verdict: Verdict,
    /// Only into directories.
    way: Option<Way>,
}

/// What a walk needs to go on into a directory.
struct Way {
    marks: Vec<Mark>,
    node: Option<Node>,
    /// Which listing is this directory's, once it was read.
    listing: usize,
}

/// The entries in their order. A directory that is not kept itself is there if something below it is.
fn assemble(mut listings: Vec<Vec<Seen>>) -> Vec<Item> {
    let mut items = Vec::with_capacity(listings.iter().map(Vec::len).sum());
    let mut open = vec![(std::mem::take(&mut listings[0]).into_iter(), None)];
    while let Some((entries, goes_with)) = open.last_mut() {
        let Some(Seen { item, verdict, way }) = entries.next() else {
            if *goes_with == Some(items.len()) {
                items.pop();
            }
            open.pop();
            continue;
        };
        items.push(item);
        if let Some(way) = way {
            let inside = std::mem::take(&mut listings[way.listing]).into_iter();
            open.push((inside, (verdict == Verdict::Below).then_some(items.len())));
        }
    }
    items
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{CWD, Mode, mkdirat, openat};

    use super::*;

    /// As deep as a path can be. The threads that read directories have small stacks.
    #[test]
    fn a_tree_may_be_as_deep_as_it_likes() {
        const DEPTH: usize = 2000;
        let folder = tempfile::tempdir().unwrap();
        let open = |at: BorrowedFd<'_>, name: &Path| openat(at, name, OFlags::RDONLY, Mode::empty()).unwrap();
        let mut dir = open(CWD, folder.path());
        for _ in 0..DEPTH {
            mkdirat(&dir, "d", Mode::RWXU).unwrap();
            dir = open(dir.as_fd(), Path::new("d"));
        }
        let context =
            Context::folder(folder.path(), None, Permissions::AsFound, HashCache::in_memory()).unwrap();
        let lengths: Vec<usize> =
            context.walk(b"", &[]).unwrap().iter().map(|item| item.path.len()).collect();
        assert_eq!(lengths, (1..=DEPTH).map(|depth| 2 * depth - 1).collect::<Vec<_>>());
    }

    #[test]
    fn a_directory_is_there_for_what_is_kept_below_it() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a/b/kept", "a/c/left", "d/left", "kept", "z/y/x/kept"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let ignore = IgnorePatterns::new(["*", "!**/kept"]).unwrap();
        let hashes = HashCache::in_memory();
        let context = Context::folder(folder.path(), Some(ignore), Permissions::AsFound, hashes).unwrap();
        let items = context.walk(b"", &[]).unwrap();
        let paths: Vec<&str> = items.iter().map(|item| std::str::from_utf8(&item.path).unwrap()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/kept", "kept", "z", "z/y", "z/y/x", "z/y/x/kept"]);
    }
}
