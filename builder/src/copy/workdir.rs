//! The directory of WORKDIR (spec 3.8).

use std::os::fd::BorrowedFd;

use rbuild_image::layer::{Owners, View};
use rbuild_parser::plan::Workdir;

use super::error::CopyError;
use super::owner::{self, Owner};
use super::tree::{Attributes, Present, Tree, XattrSource};
use super::write;
use crate::context::FileTime;

/// Makes the directory of a WORKDIR and its parents in `upper`, as far as the destination does not have them.
/// What exists stays as it is, and leaves no trace in the layer.
///
/// # Errors
/// A component that is no directory, an owner by name where there are no names, or a failing write.
pub fn make_workdir(
    workdir: &Workdir,
    dest: &View,
    upper: BorrowedFd<'_>,
    owners: Owners,
) -> Result<(), CopyError> {
    let names = (dest.root().depth() > 0).then_some(dest);
    let mut tree = Tree::new(dest, upper)?;
    let path = tree.resolve(b"", workdir.path.as_bytes(), true)?;
    let is_there = match tree.find(&path)? {
        Present::Nothing => false,
        Present::Made(id) => tree.dir(id).is_some(),
        Present::Below(found) => found.meta.kind == crate::context::Kind::Dir,
    };
    if !is_there {
        let owner = match workdir.user.as_str() {
            "" => Owner::ROOT,
            user => owner::resolve(user, names)?,
        };
        let mtime = workdir.epoch.map(|secs| FileTime { secs, nanos: 0 });
        let new = Attributes { owner, mode: 0o755, mtime, xattrs: XattrSource::NONE };
        tree.make_dirs(&path, &new)?;
        if let Some(mtime) = mtime {
            tree.set_times_of_new(mtime);
        }
    }
    write::write(tree, None, upper, owners, super::reuse::Links::Never).map(drop)
}
