//! What a process wrote into an overlay becomes part of the directory below it.
//!
//! Layers are never merged: this is for directories that live on, as those of cache mounts do. Every entry is moved
//! by a rename, and an entry that has been moved is gone from the upper directory, so a merge that was interrupted is
//! finished by doing it again.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self as sys, AtFlags, FileType, Mode, Statx, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::entry::{file_type, is_whiteout, permissions};
use super::error::LayerError;
use super::flavour::Flavour;
use super::fs as at;
use super::owner::Owner;
use super::remove::remove_tree;

/// Moves everything in `upper` to its place in `into`, on the same file system, until `upper` is empty; `into` then
/// holds what the overlay of the two showed. Doing it again after an interruption at any moment finishes it.
///
/// # Errors
/// When a system call fails. What was moved until then stays moved.
pub fn merge_upper(upper: BorrowedFd<'_>, into: BorrowedFd<'_>, flavour: Flavour) -> Result<(), LayerError> {
    Merge { flavour, path: Vec::new() }.directory(upper, into)
}

/// Makes a directory look as another one does: owner, mode, attributes and times; none of overlayfs's own
/// attributes are taken along.
///
/// # Errors
/// When a system call fails.
pub fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, flavour: Flavour) -> Result<(), LayerError> {
    let stat = flavour.owners().stat(from).map_err(LayerError::io("stat", b""))?;
    Merge { flavour, path: Vec::new() }.look_alike(from, &stat, to)
}

struct Merge {
    flavour: Flavour,
    /// Of the directory at hand, for errors.
    path: Vec<u8>,
}

impl Merge {
    fn directory(&mut self, upper: BorrowedFd<'_>, into: BorrowedFd<'_>) -> Result<(), LayerError> {
        // Before entries leave it, which changes its times.
        let before = self.flavour.owners().stat(upper).map_err(LayerError::io("stat", &self.path))?;
        for (name, _) in at::names(upper).map_err(LayerError::io("list", &self.path))? {
            self.entry(upper, &name, into)?;
        }
        self.look_alike(upper, &before, into)
    }

    fn entry(&mut self, upper: BorrowedFd<'_>, name: &CStr, into: BorrowedFd<'_>) -> Result<(), LayerError> {
        let stat = at::stat_at(upper, name).map_err(self.failed("stat", name))?;
        if is_whiteout(&stat) {
            remove_tree(into, name).map_err(self.failed("remove", name))?;
            return sys::unlinkat(upper, name, AtFlags::empty()).map_err(self.failed("remove", name));
        }
        let there = open_directory(into, name).map_err(self.failed("open", name))?;
        if file_type(&stat) == FileType::Directory {
            return self.subdirectory(upper, name, into, there);
        }
        if there.is_some() {
            remove_tree(into, name).map_err(self.failed("remove", name))?;
        }
        sys::renameat(upper, name, into, name).map_err(self.failed("move", name))
    }

    fn subdirectory(
        &mut self,
        upper: BorrowedFd<'_>,
        name: &CStr,
        into: BorrowedFd<'_>,
        there: Option<OwnedFd>,
    ) -> Result<(), LayerError> {
        let from = sys::openat(upper, name, at::DIR, Mode::empty()).map_err(self.failed("open", name))?;
        let (opaque, _) = at::dir_attributes(from.as_fd(), self.flavour)
            .map_err(self.failed("read the attributes of", name))?;
        if let Some(there) = there.filter(|_| !opaque) {
            let length = self.path.len();
            self.path = at::join(&self.path, name.to_bytes())?;
            self.directory(from.as_fd(), there.as_fd())?;
            self.path.truncate(length);
            return sys::unlinkat(upper, name, AtFlags::REMOVEDIR).map_err(self.failed("remove", name));
        }
        // First what it hides, then the mark that says so: interrupted in between, nothing shows through.
        remove_tree(into, name).map_err(self.failed("remove", name))?;
        self.unmark(from.as_fd()).map_err(self.failed("change the attributes of", name))?;
        sys::renameat(upper, name, into, name).map_err(self.failed("move", name))
    }

    /// Takes overlayfs's attributes off a tree that is a tree of its own from now on.
    fn unmark(&self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        for name in at::attribute_names(dir)?.iter().filter(|name| self.is_overlays(name)) {
            sys::fremovexattr(dir, name.as_slice())?;
        }
        for (name, kind) in at::names(dir)? {
            if matches!(kind, FileType::Directory | FileType::Unknown)
                && let Some(below) = open_directory(dir, &name)?
            {
                self.unmark(below.as_fd())?;
            }
        }
        Ok(())
    }

    fn look_alike(&self, from: BorrowedFd<'_>, stat: &Statx, to: BorrowedFd<'_>) -> Result<(), LayerError> {
        let failed = |action| LayerError::io(action, &self.path);
        let owner = Owner { uid: stat.stx_uid, gid: stat.stx_gid };
        self.flavour.owners().give(to, owner).map_err(failed("set the owner of"))?;
        sys::fchmod(to, Mode::from_raw_mode(permissions(stat))).map_err(failed("set the mode of"))?;
        self.copy_extended(from, to).map_err(failed("change the attributes of"))?;
        let time = |stamp: &rustix::fs::StatxTimestamp| Timespec {
            tv_sec: stamp.tv_sec,
            tv_nsec: stamp.tv_nsec.into(),
        };
        let times =
            Timestamps { last_access: time(&stat.stx_atime), last_modification: time(&stat.stx_mtime) };
        sys::futimens(to, &times).map_err(failed("set the times of"))
    }

    fn copy_extended(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
        let wanted = at::attribute_names(from)?;
        for name in wanted.iter().filter(|name| !self.is_overlays(name)) {
            let Ok(text) = std::str::from_utf8(name) else { continue };
            let Some(value) = at::attribute(from, text)? else { continue };
            match sys::fsetxattr(to, text, &value, XattrFlags::empty()) {
                // Labels that the kernel sets by itself are not ours to set.
                Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS) => {}
                Err(error) => return Err(error),
            }
        }
        for name in at::attribute_names(to)?.iter().filter(|name| !wanted.contains(name)) {
            match sys::fremovexattr(to, name.as_slice()) {
                Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS | Errno::NODATA) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_overlays(&self, name: &[u8]) -> bool {
        name.starts_with(self.flavour.prefix().as_bytes())
    }

    fn failed<'a>(
        &'a self,
        action: &'static str,
        name: &'a CStr,
    ) -> impl FnOnce(Errno) -> LayerError + use<'a> {
        LayerError::child(action, &self.path, name.to_bytes())
    }
}

/// None when there is nothing, or no directory.
fn open_directory(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    match sys::openat(dir, name, at::DIR, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        sys::open(path, at::DIR, Mode::empty()).unwrap()
    }

    fn tree(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![root.to_owned()];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().display().to_string();
                if path.is_dir() {
                    found.push(format!("{name}/"));
                    pending.push(path);
                } else {
                    found.push(format!("{name}={}", fs::read_to_string(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    /// A directory and an upper one that changes, adds, removes and replaces.
    fn make(at: &Path) -> (OwnedFd, OwnedFd) {
        let (into, upper) = (at.join("into"), at.join("upper"));
        for dir in [
            "into/kept/deep",
            "into/emptied",
            "into/gone",
            "upper/kept/deep",
            "upper/emptied/new",
            "upper/added/below",
        ] {
            fs::create_dir_all(at.join(dir)).unwrap();
        }
        for file in ["into/kept/a", "into/kept/deep/b", "into/emptied/c", "into/gone/d", "into/file"] {
            fs::write(at.join(file), "old").unwrap();
        }
        for file in ["upper/kept/deep/b", "upper/emptied/new/e", "upper/added/below/f", "upper/gone"] {
            fs::write(at.join(file), "new").unwrap();
        }
        for dir in ["upper/emptied", "upper/added"] {
            let opaque = Flavour::User.opaque();
            sys::setxattr(at.join(dir), opaque, b"y", XattrFlags::empty()).unwrap();
        }
        fs::set_permissions(upper.join("kept"), PermissionsExt::from_mode(0o700)).unwrap();
        sys::mknodat(open(&upper), "file", FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        (open(&upper), open(&into))
    }

    const MERGED: [&str; 11] = [
        "added/",
        "added/below/",
        "added/below/f=new",
        "emptied/",
        "emptied/new/",
        "emptied/new/e=new",
        "gone=new",
        "kept/",
        "kept/a=old",
        "kept/deep/",
        "kept/deep/b=new",
    ];

    #[test]
    fn what_the_overlay_showed_is_there_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (upper, into) = make(folder.path());
        merge_upper(upper.as_fd(), into.as_fd(), Flavour::User).unwrap();
        let into = folder.path().join("into");
        assert_eq!(tree(&into), MERGED);
        assert_eq!(fs::metadata(into.join("kept")).unwrap().mode() & 0o777, 0o700);
        assert!(tree(&folder.path().join("upper")).is_empty());
        let left = at::attribute_names(open(&into.join("added")).as_fd()).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_merge_that_was_interrupted_is_finished_by_another() {
        // Each entry is moved alone, as if the process had ended after it.
        for first in ["kept", "emptied", "added", "gone", "file"] {
            let folder = tempfile::tempdir().unwrap();
            let (upper, into) = make(folder.path());
            let name = std::ffi::CString::new(first).unwrap();
            let mut merge = Merge { flavour: Flavour::User, path: Vec::new() };
            merge.entry(upper.as_fd(), &name, into.as_fd()).unwrap();
            merge_upper(upper.as_fd(), into.as_fd(), Flavour::User).unwrap();
            assert_eq!(tree(&folder.path().join("into")), MERGED, "{first}");
        }
    }
}
