//! Several layers become one directory that an overlay can have in their place.
//!
//! Nothing is copied: files, links, devices and whiteouts of the layers get one more name each, directories are made
//! anew. A name counts from the uppermost layer that has it, as in an overlay. What the layers remove from below
//! themselves stays removed: whiteouts are kept, and a directory is opaque when, somewhere among the layers, nothing
//! below it counts any more.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self as sys, AtFlags, FileType, Mode, XattrFlags};
use rustix::io::Errno;

use super::entry::{file_type, is_whiteout};
use super::error::LayerError;
use super::flavour::Flavour;
use super::fs as at;
use super::merge::copy_attributes;

/// Fills the empty directory `into`, on the same file system, with what `layers`, the uppermost first, are together.
///
/// # Errors
/// When a system call fails, also because a file has as many names already as the file system allows.
pub(crate) fn flatten(layers: &[OwnedFd], into: BorrowedFd<'_>, flavour: Flavour) -> Result<(), LayerError> {
    let parts = layers.iter().map(|layer| reopened(layer.as_fd())).collect::<Result<Vec<_>, _>>();
    let parts = parts.map_err(LayerError::io("open", b""))?;
    Directory { path: Vec::new(), parts, hides: false }.fill(into, flavour)
}

/// Listing moves a descriptor's position, which everybody who has it shares.
fn reopened(dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    sys::openat(dir, c".", at::DIR, Mode::empty())
}

/// One directory of the result.
struct Directory {
    path: Vec<u8>,
    /// The layers' directories that take part in it, the uppermost first; never empty below the root.
    parts: Vec<OwnedFd>,
    /// Nothing that lies below all layers shows through.
    hides: bool,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Directory,
    Whiteout,
    Other,
}

impl Directory {
    fn fill(&self, into: BorrowedFd<'_>, flavour: Flavour) -> Result<(), LayerError> {
        let mut seen = HashSet::new();
        let mut removes = false;
        for (number, part) in self.parts.iter().enumerate() {
            for (name, kind) in at::names(part.as_fd()).map_err(LayerError::io("list", &self.path))? {
                if seen.contains(&name) {
                    continue;
                }
                match self.kind(part, &name, kind)? {
                    Kind::Directory => self.directory(&name, number, into, flavour)?,
                    // There is nothing to be removed.
                    Kind::Whiteout if self.hides => {}
                    kind => {
                        removes |= kind == Kind::Whiteout;
                        sys::linkat(part, &*name, into, &*name, AtFlags::empty())
                            .map_err(self.failed("link", &name))?;
                    }
                }
                seen.insert(name);
            }
        }
        if let Some(top) = self.parts.first() {
            copy_attributes(top.as_fd(), into, flavour)?;
        }
        let mark = |name, value| {
            sys::fsetxattr(into, name, value, XattrFlags::empty())
                .map_err(LayerError::io("change the attributes of", &self.path))
        };
        if self.hides {
            mark(flavour.opaque(), b"y")?;
        }
        if removes {
            mark(flavour.origin(), b"")?;
        }
        Ok(())
    }

    fn kind(&self, part: &OwnedFd, name: &CStr, listed: FileType) -> Result<Kind, LayerError> {
        if !matches!(listed, FileType::Unknown | FileType::CharacterDevice) {
            return Ok(if listed == FileType::Directory { Kind::Directory } else { Kind::Other });
        }
        let stat = at::stat_at(part.as_fd(), name).map_err(self.failed("stat", name))?;
        Ok(match file_type(&stat) {
            FileType::Directory => Kind::Directory,
            _ if is_whiteout(&stat) => Kind::Whiteout,
            _ => Kind::Other,
        })
    }

    /// Makes the directory `name`, which the part with this number has and none above it.
    fn directory(
        &self,
        name: &CStr,
        first: usize,
        into: BorrowedFd<'_>,
        flavour: Flavour,
    ) -> Result<(), LayerError> {
        let path = at::join(&self.path, name.to_bytes())?;
        let (mut parts, mut hides) = (Vec::new(), false);
        for part in &self.parts[first..] {
            match sys::openat(part, name, at::DIR, Mode::empty()) {
                Ok(dir) => {
                    let (opaque, _) = at::dir_attributes(dir.as_fd(), flavour)
                        .map_err(LayerError::io("read the attributes of", &path))?;
                    parts.push(dir);
                    hides = opaque;
                }
                Err(Errno::NOENT) => {}
                // A file or whiteout hides what is below it, and the directory above the file does so in its place.
                Err(Errno::NOTDIR | Errno::LOOP) => hides = true,
                Err(source) => return Err(LayerError::Io { action: "open", path, source }),
            }
            if hides {
                break;
            }
        }
        sys::mkdirat(into, name, Mode::RWXU).map_err(self.failed("create", name))?;
        let made = sys::openat(into, name, at::DIR, Mode::empty()).map_err(self.failed("open", name))?;
        Self { path, parts, hides }.fill(made.as_fd(), flavour)
    }

    fn failed<'a>(
        &'a self,
        action: &'static str,
        name: &'a CStr,
    ) -> impl FnOnce(Errno) -> LayerError + use<'a> {
        LayerError::child(action, &self.path, name.to_bytes())
    }
}
