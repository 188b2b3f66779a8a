//! A project's files on the disk, changed in place: what is the same is not touched, so that the memory of content
//! hashes is put to the test, too.

use std::collections::BTreeMap;
use std::fs::{self, FileTimes, OpenOptions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{XattrFlags, removexattr, setxattr};

/// The attribute that files may have.
const XATTR: &str = "user.note";

/// What there is at a path.
#[derive(Clone, PartialEq)]
pub(super) enum Node {
    Data {
        data: Vec<u8>,
        mode: u32,
        note: Option<String>,
    },
    Dir(u32),
    Link(String),
    /// A further name of a file.
    Hard(String),
}

impl Node {
    pub(super) fn data(text: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self::Data { data: text.into(), mode, note: None }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data { data, mode, note } => {
                let beginning = String::from_utf8_lossy(&data[..data.len().min(32)]);
                write!(f, "{beginning:?} {mode:o} {note:?}")
            }
            Self::Dir(mode) => write!(f, "folder {mode:o}"),
            Self::Link(target) => write!(f, "-> {target}"),
            Self::Hard(first) => write!(f, "= {first}"),
        }
    }
}

/// What is done to a file beside giving it what it should have.
#[derive(Debug)]
pub(super) enum Touch {
    /// Its modification time is another one.
    Time(String, u64),
    /// It belongs to somebody else.
    Owner(String, u32),
    /// It is written to, and its modification time set back.
    KeepTime(String),
    /// It is written to under another name and renamed.
    Replace(String),
    /// The same, and what comes in its place is older.
    Older(String),
}

/// A folder, and what is in it.
pub(super) struct Disk {
    root: PathBuf,
    now: BTreeMap<String, Node>,
}

impl Disk {
    pub(super) fn new(root: PathBuf) -> Self {
        fs::create_dir_all(&root).expect("a folder");
        Self { root, now: BTreeMap::new() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Calls the folder something else.
    pub(super) fn rename(&mut self, to: PathBuf) {
        fs::rename(&self.root, &to).expect("it can be renamed");
        self.root = to;
    }

    /// Whether files can have attributes here.
    pub(super) fn has_xattrs(&self) -> bool {
        let probe = self.root.join("probe");
        fs::write(&probe, "").expect("a file");
        let set = setxattr(&probe, XATTR, b"x", XattrFlags::empty()).is_ok();
        fs::remove_file(&probe).expect("it was there");
        set
    }

    /// Makes the folder hold `wanted`.
    pub(super) fn apply(&mut self, wanted: &BTreeMap<String, Node>, touch: Option<&Touch>) {
        let kept_time = match touch {
            Some(Touch::KeepTime(path)) => fs::metadata(self.root.join(path)).and_then(|m| m.modified()).ok(),
            _ => None,
        };
        for (path, node) in self.now.iter().rev() {
            let stays = wanted.get(path).is_some_and(|it| is_same_kind(it, node));
            if !stays {
                remove(&self.root.join(path), node);
            }
        }
        for (path, node) in wanted.iter().filter(|(_, node)| !matches!(node, Node::Hard(_))) {
            let before = self.now.get(path).filter(|before| is_same_kind(before, node));
            if before != Some(node) {
                let replace = matches!(touch, Some(Touch::Replace(at) | Touch::Older(at)) if at == path);
                put(&self.root.join(path), before, node, replace);
            }
        }
        for (path, node) in wanted {
            if let Node::Hard(first) = node
                && self.now.get(path) != Some(node)
            {
                fs::hard_link(self.root.join(first), self.root.join(path)).expect("a hard link");
            }
        }
        self.now.clone_from(wanted);
        if let Some(touch) = touch {
            self.touch(touch, kept_time);
        }
    }

    fn touch(&self, touch: &Touch, kept_time: Option<SystemTime>) {
        let set = |path: &str, time: SystemTime| {
            let file = OpenOptions::new().read(true).open(self.root.join(path)).expect("a file");
            file.set_times(FileTimes::new().set_modified(time)).expect("its time");
        };
        match touch {
            Touch::Time(path, secs) => set(path, SystemTime::UNIX_EPOCH + Duration::from_secs(*secs)),
            Touch::Owner(path, id) => chown(self.root.join(path), Some(*id), Some(*id)).expect("its owner"),
            Touch::KeepTime(path) => set(path, kept_time.expect("it was there")),
            Touch::Older(path) => set(path, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)),
            Touch::Replace(_) => {}
        }
    }
}

/// Whether one can become the other without being removed.
fn is_same_kind(a: &Node, b: &Node) -> bool {
    match (a, b) {
        (Node::Data { .. }, Node::Data { .. }) | (Node::Dir(_), Node::Dir(_)) => true,
        (a, b) => a == b,
    }
}

fn remove(path: &Path, node: &Node) {
    match node {
        Node::Dir(_) => fs::remove_dir(path).expect("it is empty"),
        _ => fs::remove_file(path).expect("it is there"),
    }
}

fn put(path: &Path, before: Option<&Node>, node: &Node, replace: bool) {
    let folder = path.parent().expect("it is in a folder");
    if !folder.exists() {
        fs::create_dir_all(folder).expect("folders");
        fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("a mode");
    }
    match node {
        Node::Data { data, mode, note } => {
            let at = if replace { path.with_extension("new") } else { path.to_owned() };
            let same = matches!(before, Some(Node::Data { data: earlier, .. }) if earlier == data);
            if !same || replace {
                // Only root can write to a file that its owner may only read.
                let _ = fs::set_permissions(&at, PermissionsExt::from_mode(0o600));
                fs::write(&at, data).expect("a file");
            }
            match note {
                Some(note) => {
                    setxattr(&at, XATTR, note.as_bytes(), XattrFlags::empty()).expect("an attribute");
                }
                // That of an earlier project; mostly there is none.
                None => drop(removexattr(&at, XATTR)),
            }
            fs::set_permissions(&at, PermissionsExt::from_mode(*mode)).expect("a mode");
            if replace {
                fs::rename(&at, path).expect("it can be renamed");
            }
        }
        Node::Dir(mode) => {
            if before.is_none() {
                fs::create_dir(path).expect("a folder");
            }
            fs::set_permissions(path, PermissionsExt::from_mode(*mode)).expect("a mode");
        }
        Node::Link(target) => symlink(target, path).expect("a link"),
        Node::Hard(_) => unreachable!("they come last"),
    }
}
