//! Making directories and archives to test with.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, mknodat};
use tempfile::TempDir;

use crate::layer::{
    DirNode, Entry, EntryKind, Flavour, LayerError, NodeKind, Unpacked, View, entries, unpack,
};

/// The flavour that this user can write.
pub(super) fn flavour() -> Flavour {
    if is_root() { Flavour::Trusted } else { Flavour::User }
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says so, visibly, and returns true when a test cannot run.
pub(super) fn skip_unless_root(test: &str) -> bool {
    if !is_root() {
        println!("SKIP {test}: needs root");
    }
    !is_root()
}

pub(super) fn open(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

/// A directory for a layer.
pub(super) struct Scratch(pub(super) TempDir);

impl Scratch {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn fd(&self) -> OwnedFd {
        open(self.0.path())
    }

    pub(super) fn dir(&self, name: &str) -> &Self {
        fs::create_dir_all(self.path(name)).unwrap();
        self.mode(name, 0o755)
    }

    pub(super) fn file(&self, name: &str, text: &str) -> &Self {
        fs::write(self.path(name), text).unwrap();
        self.mode(name, 0o644).time(name, 1_000_000_000)
    }

    pub(super) fn link(&self, name: &str, target: &str) -> &Self {
        symlink(target, self.path(name)).unwrap();
        self.time(name, 1_000_000_000)
    }

    pub(super) fn hard(&self, name: &str, first: &str) -> &Self {
        fs::hard_link(self.path(first), self.path(name)).unwrap();
        self
    }

    pub(super) fn mode(&self, name: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(super) fn time(&self, name: &str, secs: i64) -> &Self {
        let time = Timespec { tv_sec: secs, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, self.path(name), &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
        self
    }

    pub(super) fn whiteout(&self, name: &str) -> &Self {
        mknodat(CWD, self.path(name), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        self
    }

    pub(super) fn opaque(&self, name: &str) -> &Self {
        rustix::fs::setxattr(self.path(name), flavour().opaque(), b"y", XattrFlags::empty()).unwrap();
        self
    }

    pub(super) fn unpack(&self, tar: &[u8]) -> Result<Unpacked, LayerError> {
        unpack(tar, self.fd().as_fd(), flavour())
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        entries(self.fd().as_fd(), flavour()).unwrap()
    }

    /// The entries as short text: path, kind, detail.
    pub(super) fn list(&self) -> Vec<String> {
        self.entries().iter().map(show).collect()
    }
}

pub(super) fn show(entry: &Entry) -> String {
    let path = String::from_utf8_lossy(&entry.path);
    match &entry.kind {
        EntryKind::File { size } => format!("{path} {size}"),
        EntryKind::Dir { opaque: false } => format!("{path}/"),
        EntryKind::Dir { opaque: true } => format!("{path}/ opaque"),
        EntryKind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
        EntryKind::Hardlink(first) => format!("{path} = {}", String::from_utf8_lossy(first)),
        EntryKind::Char { major, minor } => format!("{path} c{major}:{minor}"),
        EntryKind::Block { major, minor } => format!("{path} b{major}:{minor}"),
        EntryKind::Fifo => format!("{path} |"),
        EntryKind::Whiteout => format!("{path} gone"),
    }
}

/// All paths of a view, directories with a slash.
pub(super) fn paths(view: &View) -> Vec<String> {
    fn walk(dir: &DirNode, out: &mut Vec<String>) {
        for node in dir.children().unwrap() {
            let path = String::from_utf8(node.path().unwrap()).unwrap();
            if node.metadata().kind == NodeKind::Dir {
                out.push(format!("{path}/"));
                walk(&node.dir().unwrap().unwrap(), out);
            } else {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(view.root(), &mut out);
    out
}

/// An archive written by another implementation than ours.
pub(super) struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    pub(super) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(super) fn add(mut self, kind: tar::EntryType, path: &str, link: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        // Set as bytes: the library itself refuses what a hostile archive has.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(super) fn file(self, path: &str, text: &str) -> Self {
        self.add(tar::EntryType::Regular, path, "", text.as_bytes())
    }

    pub(super) fn dir(self, path: &str) -> Self {
        self.add(tar::EntryType::Directory, path, "", b"")
    }

    pub(super) fn symlink(self, path: &str, target: &str) -> Self {
        self.add(tar::EntryType::Symlink, path, target, b"")
    }

    pub(super) fn hard(self, path: &str, target: &str) -> Self {
        self.add(tar::EntryType::Link, path, target, b"")
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}
