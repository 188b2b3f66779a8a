//! The rules by which COPY puts a selection onto a destination (spec 3.4).

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use rbuild_image::layer::View;

use super::archive::{self, Archive};
use super::error::CopyError;
use super::owner::Owner;
use super::select::{Pick, Rules, Selection};
use super::tree::{Attributes, Content, Dir, Made, NodeId, Present, ROOT, Tree, XattrSource};
use crate::context::path::{base_name, join, parent, show};
use crate::context::{FileTime, Found, Inode, Item, Kind};

/// Plans the layer that a selection makes of a destination.
pub(crate) fn plan<'a>(
    selection: &Selection,
    dest: &'a View,
    spool: BorrowedFd<'a>,
) -> Result<Tree<'a>, CopyError> {
    let mut merge = Merge { tree: Tree::new(dest, spool)?, selection, rules: &selection.rules };
    for pick in &selection.picks {
        merge.pick(pick)?;
    }
    Ok(merge.tree)
}

struct Merge<'a, 's> {
    tree: Tree<'a>,
    selection: &'s Selection,
    rules: &'s Rules,
}

impl Merge<'_, '_> {
    fn pick(&mut self, pick: &Pick) -> Result<(), CopyError> {
        let dest = self.selection.copy.dest.as_bytes();
        let wants_dir = dest.ends_with(b"/") || dest.ends_with(b"/.");
        // With --link there is nothing below, so there are no links to follow either.
        let target = self.tree.resolve(b"", dest, true)?;
        if let Some(archive) = self.archive(pick)? {
            // `--chmod` is for copies; what is unpacked, and the directories that lead there, do not see it.
            let dir = self.tree.make_dirs(&target, &self.rules.unpacked_dirs())?;
            return archive::unpack(archive, &mut self.tree, dir, self.rules.owner);
        }
        let made = self.made_dirs();
        let needed = if wants_dir { target.as_slice() } else { parent(&target) };
        self.tree.make_dirs(needed, &made)?;
        match pick {
            Pick::Tree { at, meta, items, identity } => {
                let dir = self
                    .tree
                    .make_dirs(&target, &made)
                    .map_err(|_| CopyError::OntoNonDirectory { path: show(&target) })?;
                self.items(dir, at, items)?;
                // Neither the context's root nor a repository's sends metadata of its own.
                if identity.is_none() && !(at.is_empty() && self.selection.source.is_folder()) {
                    self.set_time(dir, meta.mtime);
                }
                Ok(())
            }
            Pick::File { at, name, item } => {
                let with = self.attributes(item, at)?;
                let made = self.made(at, item, with);
                self.file(&target, name, made)
            }
            Pick::Inline { name, data } => {
                let with = self.of_mode(0o644, None)?;
                let content = Content::Bytes(data.clone());
                self.file(&target, name, Made::File { content, with })
            }
            Pick::Fetched(fetched) => {
                let with = self.of_mode(0o600, Some(fetched.mtime))?;
                let content = Content::Range { file: fetched.file.clone(), offset: 0, size: fetched.size };
                self.file(&target, &fetched.name, Made::File { content, with })
            }
        }
    }

    /// The archive that a pick is, if it is to be unpacked (spec 3.5).
    fn archive(&self, pick: &Pick) -> Result<Option<Archive>, CopyError> {
        let copy = &self.selection.copy;
        match pick {
            Pick::File { at, item, .. } if copy.add && copy.unpack != Some(false) => {
                archive::detect(&self.selection.source, at, item)
            }
            Pick::Fetched(fetched) if copy.unpack == Some(true) => {
                archive::detect_in(&fetched.file, &fetched.name)
            }
            _ => Ok(None),
        }
    }

    /// A single file: into the target if that is a directory, else in its place.
    fn file(&mut self, target: &[u8], name: &[u8], made: Made) -> Result<(), CopyError> {
        let target = if self.is_dir(target)? { join(target, name) } else { target.to_vec() };
        let new = self.made_dirs();
        let dir = self.tree.make_dirs(parent(&target), &new)?;
        self.put_file(dir, base_name(&target), made).map(|_| ())
    }

    /// What a directory holds, onto a directory.
    fn items(&mut self, top: NodeId, at: &[u8], items: &[Item]) -> Result<(), CopyError> {
        // The way down to the current item: nodes and the time they get in the end.
        let mut way: Vec<(Vec<u8>, NodeId)> = vec![(Vec::new(), top)];
        let mut times: Vec<(NodeId, FileTime)> = Vec::new();
        let mut linked: HashMap<(u32, Inode), NodeId> = HashMap::new();
        for item in items {
            let wanted = parent(&item.path);
            while way.last().is_some_and(|(path, _)| path != wanted) {
                way.pop();
            }
            let dir = way.last().map_or(top, |(_, dir)| *dir);
            let name = base_name(&item.path);
            let from = join(at, &item.path);
            let with = self.attributes(item, &from)?;
            if item.meta.kind == Kind::Dir {
                let id = self.put_dir(dir, name, with)?;
                times.push((id, item.meta.mtime));
                way.push((item.path.clone(), id));
                continue;
            }
            let is_file = item.meta.kind == Kind::File;
            let first = linked.get(&(item.layer, item.meta.inode)).copied().filter(|_| is_file);
            let made = first.map_or_else(|| self.made(&from, item, with), Made::Link);
            let id = self.put_file(dir, name, made)?;
            if is_file && item.meta.links > 1 {
                linked.entry((item.layer, item.meta.inode)).or_insert(id);
            }
        }
        for (dir, time) in times {
            self.set_time(dir, time);
        }
        Ok(())
    }

    fn put_file(&mut self, dir: NodeId, name: &[u8], made: Made) -> Result<NodeId, CopyError> {
        let is_dir = match self.tree.child(dir, name)? {
            Present::Made(id) => self.tree.dir(id).is_some(),
            Present::Below(found) => found.meta.kind == Kind::Dir,
            Present::Nothing => false,
        };
        if is_dir || (dir == ROOT && name.is_empty()) {
            let path = show(&join(&self.tree.path(dir), name));
            return Err(CopyError::OntoDirectory { path });
        }
        Ok(self.tree.put(dir, name, made))
    }

    fn put_dir(&mut self, dir: NodeId, name: &[u8], with: Attributes) -> Result<NodeId, CopyError> {
        if let Some(id) = self.tree.enter(dir, name)? {
            if let Some(dir) = self.tree.dir_mut(id) {
                dir.with = with;
            }
            return Ok(id);
        }
        match self.tree.child(dir, name)? {
            Present::Nothing => Ok(self.tree.put(dir, name, Made::Dir(Dir::new(with)))),
            _ => {
                let path = show(&join(&self.tree.path(dir), name));
                Err(CopyError::OntoNonDirectory { path })
            }
        }
    }

    fn is_dir(&mut self, path: &[u8]) -> Result<bool, CopyError> {
        Ok(match self.tree.find(path)? {
            Present::Made(id) => self.tree.dir(id).is_some(),
            Present::Below(found) => found.meta.kind == Kind::Dir,
            Present::Nothing => false,
        })
    }

    fn set_time(&mut self, dir: NodeId, time: FileTime) {
        if let Some(dir) = self.tree.dir_mut(dir) {
            dir.with.mtime = Some(time);
        }
    }

    fn made(&self, at: &[u8], item: &Item, with: Attributes) -> Made {
        match item.meta.kind {
            Kind::Symlink => Made::Symlink { target: item.link.clone().unwrap_or_default(), with },
            Kind::File => {
                let name = base_name(at).to_vec();
                let Item { layer, meta, link, .. } = item.clone();
                let found = Found { name, layer, meta, link, node: None };
                Made::File { content: Content::Source(Box::new(found), at.to_vec()), with }
            }
            // BuildKit loses the bit that makes it a block device, and images rely on what it builds.
            Kind::Block => Made::Special { kind: Kind::Char, device: item.meta.device, with },
            kind => Made::Special { kind, device: item.meta.device, with },
        }
    }

    fn attributes(&self, item: &Item, at: &[u8]) -> Result<Attributes, CopyError> {
        Ok(Attributes {
            owner: self.rules.owner(&item.meta),
            mode: self.rules.mode(&item.meta)?,
            mtime: Some(item.meta.mtime),
            xattrs: XattrSource::Source { path: at.to_vec(), layer: item.layer },
        })
    }

    /// Attributes of a file that is nowhere on disk.
    fn of_mode(&self, mode: u32, mtime: Option<FileTime>) -> Result<Attributes, CopyError> {
        let mut meta = crate::context::Meta::of_nothing();
        (meta.kind, meta.mode) = (Kind::File, mode);
        Ok(Attributes {
            owner: self.rules.owner.unwrap_or(Owner::ROOT),
            mode: self.rules.mode(&meta)?,
            mtime,
            xattrs: XattrSource::NONE,
        })
    }

    fn made_dirs(&self) -> Attributes {
        let (owner, mode) = self.rules.made_dirs();
        Attributes { owner, mode, mtime: None, xattrs: XattrSource::NONE }
    }
}
