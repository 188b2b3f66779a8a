//! A layer whose tar leaves out parents of its entries, as it is on top of certain others.
//!
//! Some tools write `tmp/x` and no `tmp`. Where the layers below have that directory, it stays as it is there; so such
//! a layer is another directory on every other chain. It is made anew for each that needs it: directories of its own,
//! everything else as hard links.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, XattrFlags};
use rustix::io::Errno;

use super::entry::file_type;
use super::error::LayerError;
use super::flavour::Flavour;
use super::fs as at;
use super::merge::copy_attributes;
use super::node::{Metadata, NodeKind};
use super::owner::Owner;
use super::unpack::{Attributes, set_times};
use super::view::{Follow, View};

/// How directories look below the layer that leaves them out, by their paths.
pub(crate) type ParentLooks = BTreeMap<Vec<u8>, Metadata>;

/// Those of `parents` that `below` has as directories. What it has in the place of one, or behind a symlink, is hidden
/// by the layer.
pub(crate) fn looks_below(parents: &[Vec<u8>], below: &View) -> Result<ParentLooks, LayerError> {
    let mut looks = ParentLooks::new();
    for path in parents {
        let located = match below.locate(path, Follow::Never) {
            Ok(located) => located,
            Err(LayerError::NotADirectory { .. } | LayerError::TooManyLinks { .. }) => continue,
            Err(error) => return Err(error),
        };
        let node = located.node.filter(|node| node.metadata().kind == NodeKind::Dir);
        if let Some(node) = node.filter(|_| located.path == *path) {
            looks.insert(path.clone(), node.metadata().clone());
        }
    }
    Ok(looks)
}

/// Makes the tree of `from` once more in the empty directory `into` of the same file system.
///
/// False if hard links cannot be made: another file system, somebody else's files, too many links. What was made by
/// then stays.
pub(crate) fn make_twin(
    from: BorrowedFd<'_>,
    into: BorrowedFd<'_>,
    flavour: Flavour,
) -> Result<bool, LayerError> {
    let mut directories = vec![Vec::new()];
    let mut next = 0;
    while let Some(path) = directories.get(next).cloned() {
        let failed = |action| LayerError::io(action, &path);
        let source = at::open_below(from, &path, at::DIR).map_err(failed("open"))?;
        let target = at::open_below(into, &path, at::DIR).map_err(failed("open"))?;
        for (name, _) in at::names(source.as_fd()).map_err(failed("list"))? {
            let stat = at::stat_at(source.as_fd(), &name).map_err(failed("look into"))?;
            if file_type(&stat) == FileType::Directory {
                fs::mkdirat(&target, &*name, Mode::RWXU).map_err(failed("make a directory in"))?;
                directories.push(at::join(&path, name.to_bytes())?);
                continue;
            }
            match fs::linkat(&source, &*name, &target, &*name, AtFlags::empty()) {
                Ok(()) => {}
                Err(Errno::XDEV | Errno::PERM | Errno::MLINK) => return Ok(false),
                Err(error) => return Err(failed("make a link in")(error)),
            }
        }
        next += 1;
    }
    // Deepest first: the mode of one above may keep us from getting there.
    for path in directories.iter().rev() {
        let failed = |action| LayerError::io(action, path);
        let source = at::open_below(from, path, at::DIR).map_err(failed("open"))?;
        let target = at::open_below(into, path, at::DIR).map_err(failed("open"))?;
        let (opaque, _) =
            at::dir_attributes(source.as_fd(), flavour).map_err(failed("read the attributes of"))?;
        if opaque {
            fs::fsetxattr(&target, flavour.opaque(), b"y", XattrFlags::empty())
                .map_err(failed("make opaque"))?;
        }
        copy_attributes(source.as_fd(), target.as_fd(), flavour)?;
    }
    Ok(true)
}

/// Gives the `parents` of a layer of `flavour` these looks, or those of an archive that is alone.
pub(crate) fn dress(
    root: BorrowedFd<'_>,
    parents: &[Vec<u8>],
    looks: &ParentLooks,
    flavour: Flavour,
) -> Result<(), LayerError> {
    for path in parents {
        let look = looks.get(path).map_or(Attributes::UNKNOWN, |look| Attributes {
            mode: look.mode,
            uid: look.uid,
            gid: look.gid,
            mtime: look.mtime,
            capability: None,
        });
        let failed = |action| LayerError::io(action, path);
        let dir = at::open_below(root, path, at::DIR).map_err(failed("open"))?;
        match flavour.owners().give(dir.as_fd(), Owner { uid: look.uid, gid: look.gid }) {
            // Ids beyond the ranges of a user namespace cannot be given.
            Err(Errno::INVAL) if flavour == Flavour::User => {}
            other => other.map_err(failed("change the owner of"))?,
        }
        fs::fchmod(&dir, Mode::from_raw_mode(look.mode)).map_err(failed("set the mode of"))?;
        set_times(dir.as_fd(), look.mtime).map_err(failed("set the times of"))?;
    }
    Ok(())
}
