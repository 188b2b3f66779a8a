//! The directories that an archive's entries go into.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{self, AtFlags, Mode, XattrFlags};
use rustix::io::Errno;

use super::entry::is_whiteout;
use super::error::{LayerError, ShownPath};
use super::flavour::Flavour;
use super::fs as at;
use super::unpack::{Attributes, Directories, Look};

/// Opens and makes directories below a root, without following what the archive planted there.
pub(super) struct Parents<'a> {
    root: BorrowedFd<'a>,
    flavour: Flavour,
    /// Consecutive entries mostly share their parent.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
}

impl<'a> Parents<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, flavour: Flavour) -> Self {
        Self { root, flavour, last: None }
    }

    /// Forgets what is open, because something was removed.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// A directory that is there already; no symlink is followed.
    pub(super) fn open_existing(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        at::open_below(self.root, path, at::DIR)
    }

    /// The directory `path`, made if need be.
    pub(super) fn open(
        &mut self,
        path: &[u8],
        shown: &[u8],
        directories: &mut Directories,
    ) -> Result<Rc<OwnedFd>, LayerError> {
        if let Some((_, dir)) = self.last.as_ref().filter(|(last, _)| last == path) {
            return Ok(Rc::clone(dir));
        }
        let dir = match self.open_existing(path) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.make_all(path, shown, directories)?,
            Err(error) => return Err(LayerError::io("open", path)(error)),
        };
        let dir = Rc::new(dir);
        self.last = Some((path.to_vec(), Rc::clone(&dir)));
        Ok(dir)
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

    fn make_all(
        &mut self,
        path: &[u8],
        shown: &[u8],
        directories: &mut Directories,
    ) -> Result<OwnedFd, LayerError> {
        let mut rest: Vec<Vec<u8>> = parts(path);
        let mut here = Vec::new();
        let mut dir = at::open_below(self.root, b"", at::DIR).map_err(LayerError::io("open", b""))?;
        while let Some(name) = rest.pop() {
            let path = at::join(&here, &name)?;
            match fs::openat(&dir, &name[..], at::DIR, Mode::empty()) {
                Ok(below) => (dir, here) = (below, path),
                Err(Errno::NOENT) => {
                    self.make(dir.as_fd(), &name, &path)?;
                    directories.insert(path, Look::Implied);
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
                    directories.insert(path, Look::Described(Attributes::UNKNOWN));
                    rest.push(name);
                }
                Err(error) => return Err(LayerError::io("open", &path)(error)),
            }
        }
        Ok(dir)
    }
}

/// The components, last first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.rsplit(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
}
