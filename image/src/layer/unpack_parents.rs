//! The directories that an archive's entries go into.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::entry::{CAPABILITY, is_whiteout};
use super::error::{LayerError, ShownPath};
use super::flavour::Flavour;
use super::fs as at;
use super::remove::remove_tree;
use super::unpack::{Attributes, set_times};
use super::view::{Follow, Node, NodeKind, View};
use crate::time::Timestamp;

/// Symlinks of lower layers on one way.
const MAX_LINKS: usize = 40;

/// Opens and makes directories below a root, without following what the archive planted there.
pub(super) struct Parents<'a> {
    root: BorrowedFd<'a>,
    flavour: Flavour,
    lower: Option<&'a View>,
    /// Consecutive entries mostly share their parent: the path as the archive has it, as it is, and the directory.
    last: Option<(Vec<u8>, Vec<u8>, Rc<OwnedFd>)>,
}

impl<'a> Parents<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, flavour: Flavour, lower: Option<&'a View>) -> Self {
        Self { root, flavour, lower, last: None }
    }

    /// Forgets what is open, because something was removed.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// A directory that is there already; no symlink is followed.
    pub(super) fn open_existing(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        at::open_below(self.root, path, at::DIR)
    }

    /// The directory `path`, made if need be, and its path when links of lower layers are resolved.
    pub(super) fn open(
        &mut self,
        path: &[u8],
        shown: &[u8],
        directories: &mut BTreeMap<Vec<u8>, Attributes>,
    ) -> Result<(Vec<u8>, Rc<OwnedFd>), LayerError> {
        if let Some((_, real, dir)) = self.last.as_ref().filter(|(wanted, ..)| wanted == path) {
            return Ok((real.clone(), Rc::clone(dir)));
        }
        let (real, dir) = match self.open_existing(path) {
            Ok(dir) => (path.to_vec(), dir),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.make_all(path, shown, directories)?,
            Err(error) => return Err(LayerError::io("open", path)(error)),
        };
        let dir = Rc::new(dir);
        self.last = Some((path.to_vec(), real.clone(), Rc::clone(&dir)));
        Ok((real, dir))
    }

    /// Makes one directory. A file of that name is replaced; in the place of a whiteout the directory is opaque,
    /// for the archive has removed what is below.
    pub(super) fn make(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), LayerError> {
        let make = || fs::mkdirat(parent, name, Mode::RWXU);
        match make() {
            Err(Errno::EXIST) => {}
            other => return other.map_err(LayerError::io("create", path)),
        }
        let stat = at::stat_at_bytes(parent, name).map_err(LayerError::io("stat", path))?;
        if super::entry::file_type(&stat) == fs::FileType::Directory {
            return Ok(());
        }
        fs::unlinkat(parent, name, AtFlags::empty()).map_err(LayerError::io("replace", path))?;
        make().map_err(LayerError::io("create", path))?;
        if is_whiteout(&stat) {
            let dir =
                fs::openat(parent, name, at::DIR, Mode::empty()).map_err(LayerError::io("open", path))?;
            fs::fsetxattr(&dir, self.flavour.opaque(), b"y", XattrFlags::empty())
                .map_err(LayerError::io("make opaque", path))?;
        }
        Ok(())
    }

    /// Copies a file of a lower layer into this one; the directory that it is in, or None when there is no such file.
    pub(super) fn copy_up(
        &mut self,
        path: &[u8],
        directories: &mut BTreeMap<Vec<u8>, Attributes>,
    ) -> Result<Option<Rc<OwnedFd>>, LayerError> {
        let Some(node) = self.below(path)?.filter(|node| node.metadata().kind != NodeKind::Dir) else {
            return Ok(None);
        };
        let (dir, name) = at::split(path);
        let (_, parent) = self.open(dir, path, directories)?;
        // A whiteout of the same archive removed it before it was linked to.
        if at::stat_at_bytes(parent.as_fd(), name).is_ok() {
            return Ok(None);
        }
        copy_node(&node, parent.as_fd(), name, path)?;
        Ok(Some(parent))
    }

    fn make_all(
        &mut self,
        path: &[u8],
        shown: &[u8],
        directories: &mut BTreeMap<Vec<u8>, Attributes>,
    ) -> Result<(Vec<u8>, OwnedFd), LayerError> {
        let mut rest: Vec<Vec<u8>> = parts(path);
        let mut here = Vec::new();
        let mut dir = at::open_below(self.root, b"", at::DIR).map_err(LayerError::io("open", b""))?;
        let mut links = 0;
        while let Some(name) = rest.pop() {
            let path = at::join(&here, &name)?;
            match fs::openat(&dir, &name[..], at::DIR, Mode::empty()) {
                Ok(below) => (dir, here) = (below, path),
                Err(Errno::NOENT) => {
                    let below = self.below(&path)?;
                    if let Some(link) =
                        below.as_ref().filter(|node| node.metadata().kind == NodeKind::Symlink)
                    {
                        links += 1;
                        let lower = self.lower.filter(|_| links <= MAX_LINKS);
                        let lower = lower.ok_or(LayerError::TooManyLinks { path: path.clone() })?;
                        let target = lower.locate(&link.path()?, Follow::Last)?.path;
                        rest.extend(parts(&target));
                        here.clear();
                        dir = at::open_below(self.root, b"", at::DIR).map_err(LayerError::io("open", b""))?;
                        continue;
                    }
                    self.make(dir.as_fd(), &name, &path)?;
                    directories.insert(path.clone(), implied(below.as_ref())?);
                    rest.push(name);
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let stat =
                        at::stat_at_bytes(dir.as_fd(), &name).map_err(LayerError::io("stat", &path))?;
                    if !is_whiteout(&stat) {
                        let problem = format!("leads through {}, which is not a directory", ShownPath(&path));
                        return Err(LayerError::entry(shown, problem));
                    }
                    self.make(dir.as_fd(), &name, &path)?;
                    directories.insert(path.clone(), implied(None)?);
                    rest.push(name);
                }
                Err(error) => return Err(LayerError::io("open", &path)(error)),
            }
        }
        Ok((here, dir))
    }

    fn below(&self, path: &[u8]) -> Result<Option<Node>, LayerError> {
        match self.lower {
            Some(lower) => lower.lookup(path, Follow::Never),
            None => Ok(None),
        }
    }
}

/// The components, last first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.rsplit(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
}

/// What a parent looks like that the archive does not describe.
fn implied(below: Option<&Node>) -> Result<Attributes, LayerError> {
    let Some(node) = below.filter(|node| node.metadata().kind == NodeKind::Dir) else {
        return Ok(Attributes { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::EPOCH, capability: None });
    };
    let meta = node.metadata();
    let capability = node.capability()?;
    Ok(Attributes { mode: meta.mode, uid: meta.uid, gid: meta.gid, mtime: meta.mtime, capability })
}

fn copy_node(node: &Node, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<(), LayerError> {
    let meta = node.metadata();
    if meta.kind != NodeKind::File {
        let problem = "is linked to from an upper layer, which only regular files can be";
        return Err(LayerError::entry(path, problem));
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(LayerError::io("create", path))?;
    let (mut from, mut to) = (File::from(node.open()?), File::from(file));
    let copied = std::io::copy(&mut from, &mut to);
    if let Err(error) = copied {
        let _ = remove_tree(parent, name);
        return Err(LayerError::io("write", path)(Errno::from_io_error(&error).unwrap_or(Errno::IO)));
    }
    fs::fchown(&to, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
        .map_err(LayerError::io("change the owner of", path))?;
    fs::fchmod(&to, Mode::from_raw_mode(meta.mode)).map_err(LayerError::io("set the mode of", path))?;
    if let Some(value) = node.capability()? {
        fs::fsetxattr(&to, CAPABILITY, &value, XattrFlags::empty())
            .map_err(LayerError::io("set the capabilities of", path))?;
    }
    set_times(to.as_fd(), meta.mtime).map_err(LayerError::io("set the times of", path))?;
    Ok(())
}
