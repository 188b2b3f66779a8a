//! Finding a place inside the rootfs, and making it when it is missing.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use crate::pretend;

/// What is made where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// A place in the rootfs.
#[derive(Debug)]
pub(super) struct Place {
    /// Opened with O_PATH.
    pub(super) fd: OwnedFd,
    /// What had to be made, parents first, relative to the root, without symlinks.
    pub(super) made: Vec<String>,
}

/// The kernel's limit is 40; images may have longer chains through layers, as docker follows 255.
const MAX_LINKS: usize = 255;

const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);
const FILE_MODE: Mode = Mode::from_raw_mode(0o755);

/// Opens what is there; symlinks cannot lead out of `root`.
pub(super) fn open(root: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let relative = path.trim_start_matches('/');
    let relative = if relative.is_empty() { "." } else { relative };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, relative, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Opens `path`, and makes it, with its parents, when it is missing; what is made belongs to `owner`.
pub(super) fn open_or_make(
    root: &OwnedFd,
    path: &str,
    kind: Kind,
    owner: Option<(u32, u32)>,
) -> rustix::io::Result<Place> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT | Errno::LOOP) => {
            Walk { root, owner, at: Vec::new(), made: Vec::new() }.make(path, kind)
        }
        other => other.map(|fd| Place { fd, made: Vec::new() }),
    }
}

/// A walk that follows symlinks by itself, since the kernel makes nothing on the way.
struct Walk<'a> {
    root: &'a OwnedFd,
    owner: Option<(u32, u32)>,
    /// Where we are: names below the root, none of them a symlink.
    at: Vec<OsString>,
    made: Vec<String>,
}

impl Walk<'_> {
    fn make(mut self, path: &str, kind: Kind) -> rustix::io::Result<Place> {
        let mut ahead: VecDeque<OsString> = names(path.as_bytes()).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                self.at.pop();
                continue;
            }
            let folder = self.open_here()?;
            match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP);
                    }
                    let target = rustix::fs::readlinkat(&folder, &name, Vec::new())?.into_bytes();
                    if target.starts_with(b"/") {
                        self.at.clear();
                    }
                    for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                        ahead.push_front(name);
                    }
                    continue;
                }
                Ok(_) => {}
                Err(Errno::NOENT) => {
                    let kind = if ahead.is_empty() { kind } else { Kind::Folder };
                    self.make_one(&folder, &name, kind)?;
                }
                Err(error) => return Err(error),
            }
            self.at.push(name);
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::openat2(self.root, self.here(), flags, Mode::empty(), confined())?;
        Ok(Place { fd, made: self.made })
    }

    fn make_one(&mut self, folder: &OwnedFd, name: &OsStr, kind: Kind) -> rustix::io::Result<()> {
        match kind {
            Kind::Folder => rustix::fs::mkdirat(folder, name, FOLDER_MODE)?,
            Kind::File => rustix::fs::mknodat(folder, name, FileType::RegularFile, FILE_MODE, 0)?,
        }
        if let Some((uid, gid)) = self.owner {
            give(folder, name, uid, gid)?;
        }
        let mut path = self.at.join(OsStr::new("/"));
        if !path.is_empty() {
            path.push("/");
        }
        path.push(name);
        self.made.push(path.to_string_lossy().into_owned());
        Ok(())
    }

    fn open_here(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(self.root, self.here(), flags, Mode::empty(), confined())
    }

    fn here(&self) -> OsString {
        if self.at.is_empty() { OsString::from(".") } else { self.at.join(OsStr::new("/")) }
    }
}

fn confined() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS
}

fn names(path: &[u8]) -> impl Iterator<Item = OsString> + '_ {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(|name| OsString::from_vec(name.to_vec()))
}

/// Gives what was just made to somebody; where they have no id, with a note.
fn give(folder: &OwnedFd, name: &OsStr, uid: u32, gid: u32) -> rustix::io::Result<()> {
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    match rustix::fs::chownat(folder, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::INVAL) => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(folder, name, flags, Mode::empty())?;
            pretend::give(made.as_fd(), uid, gid)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn places_are_made_inside_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::create_dir_all(path.join("usr/lib")).unwrap();
        symlink("/usr/lib", path.join("lib")).unwrap();
        symlink("../../../../escape/here", path.join("usr/out")).unwrap();
        symlink("loop", path.join("loop")).unwrap();
        let root: OwnedFd = std::fs::File::open(path).unwrap().into();
        let table: &[(&str, &[&str])] = &[
            ("/lib/a/b", &["usr/lib/a", "usr/lib/a/b"]),
            ("/lib/a/b", &[]),
            ("usr/out/x", &["escape", "escape/here", "escape/here/x"]),
            ("/lib/../c", &["usr/c"]),
            ("/../../d", &["d"]),
            ("/", &[]),
        ];
        for (target, made) in table {
            let place = open_or_make(&root, target, Kind::Folder, None).unwrap();
            assert_eq!(place.made, *made, "{target}");
        }
        let place = open_or_make(&root, "/etc/hosts", Kind::File, None).unwrap();
        assert_eq!(place.made, ["etc", "etc/hosts"]);
        assert!(path.join("etc/hosts").is_file());
        assert_eq!(open_or_make(&root, "/loop/x", Kind::Folder, None).unwrap_err(), Errno::LOOP);
        assert_eq!(open_or_make(&root, "/etc/hosts/x", Kind::Folder, None).unwrap_err(), Errno::NOTDIR);
    }
}
