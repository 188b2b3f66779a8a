//! Layers put together: which files an image has, and what differs from the base.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Times below this come from an input and are part of an expectation; newer ones are the build's own.
pub(super) const RECENT: u64 = 1_750_000_000;

/// Folders that container runtimes leave behind as mount points. Left in or cleaned up, both are fine.
pub(super) const MOUNT_POINTS: [&str; 3] = ["dev", "proc", "sys"];

/// An entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// As in the archive, without the `/` of folders.
    pub(super) path: String,
    /// Its type.
    pub(super) kind: Kind,
    /// What belongs to the inode.
    pub(super) inode: Inode,
}

/// The type of an entry, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File {
        size: u64,
        sha256: String,
        text: Option<String>,
    },
    Dir,
    Symlink(String),
    Hardlink(String),
    Fifo,
    Char(String),
    Block(String),
    /// A link to something that is not there.
    Broken(String),
}

/// What files of every type have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: u64,
    pub(super) capability: Option<String>,
}

/// A file: what it is, and a number that its links share.
#[derive(Debug, Clone)]
struct Node {
    kind: Kind,
    inode: Inode,
    number: usize,
}

/// The files of an image by path, without the first slash.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    count: usize,
}

impl Tree {
    /// Puts a layer on top.
    pub(super) fn add(&mut self, layer: &[Entry]) {
        for entry in layer {
            let (dir, name) = split(&entry.path);
            match name.strip_prefix(".wh.") {
                Some(".wh..opq") => self.remove_below(dir),
                Some(gone) => self.remove(&join(dir, gone)),
                None => {}
            }
        }
        for entry in layer.iter().filter(|entry| !split(&entry.path).1.starts_with(".wh.")) {
            self.place(entry);
        }
    }

    fn place(&mut self, entry: &Entry) {
        let path = entry.path.trim_start_matches('/').trim_start_matches("./");
        let mut parent = split(path).0;
        while !parent.is_empty() && !self.nodes.contains_key(parent) {
            self.insert(parent, Kind::Dir, Inode { mode: 0o755, ..Inode::default() });
            parent = split(parent).0;
        }
        let was_dir = self.nodes.get(path).is_some_and(|node| node.kind == Kind::Dir);
        if !(was_dir && entry.kind == Kind::Dir) {
            self.remove(path);
        }
        match &entry.kind {
            Kind::Hardlink(target) => match self.nodes.get(target.trim_start_matches('/')).cloned() {
                Some(node) => drop(self.nodes.insert(path.to_owned(), node)),
                None => self.insert(path, Kind::Broken(target.clone()), Inode::default()),
            },
            kind => self.insert(path, kind.clone(), entry.inode.clone()),
        }
    }

    fn insert(&mut self, path: &str, kind: Kind, inode: Inode) {
        self.count += 1;
        self.nodes.insert(path.to_owned(), Node { kind, inode, number: self.count });
    }

    fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, path: &str) {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let range = self.nodes.range(prefix.clone()..).take_while(|(other, _)| other.starts_with(&prefix));
        let gone: Vec<String> = range.map(|(other, _)| other.clone()).collect();
        for path in gone {
            self.nodes.remove(&path);
        }
    }

    fn has_below(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.nodes.range(prefix.clone()..).next().is_some_and(|(other, _)| other.starts_with(&prefix))
    }

    /// The first path of each file that has several.
    fn links(&self) -> BTreeMap<&str, &str> {
        let mut groups: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (path, node) in &self.nodes {
            groups.entry(node.number).or_default().push(path);
        }
        let several = groups.into_values().filter(|group| group.len() > 1);
        several.flat_map(|group| group.clone().into_iter().map(move |path| (path, group[0]))).collect()
    }

    /// `rootfs` and `removed` of an expectation: what is not as in `base`, and what of it is gone.
    pub(super) fn changes(&self, base: &Self) -> (Vec<Value>, Vec<String>) {
        let (links, base_links) = (self.links(), base.links());
        let changed = |path: &&String| {
            let node = &self.nodes[*path];
            let old = base.nodes.get(*path);
            let same = old.is_some_and(|old| {
                same(node, old) && links.get(path.as_str()) == base_links.get(path.as_str())
            });
            let mount_point = old.is_none()
                && node.kind == Kind::Dir
                && MOUNT_POINTS.contains(&path.as_str())
                && !self.has_below(path);
            !same && !mount_point
        };
        let describe = |path: &String| self.nodes[path].describe(path, links.get(path.as_str()).copied());
        let entries = self.nodes.keys().filter(changed).map(describe).collect();
        let removed = base.nodes.keys().filter(|path| {
            let parent = split(path).0;
            !self.nodes.contains_key(*path) && (parent.is_empty() || self.nodes.contains_key(parent))
        });
        (entries, removed.cloned().collect())
    }
}

/// The times of folders are not compared.
fn same(a: &Node, b: &Node) -> bool {
    let timeless = |node: &Node| Inode { mtime: 0, ..node.inode.clone() };
    a.kind == b.kind && if a.kind == Kind::Dir { timeless(a) == timeless(b) } else { a.inode == b.inode }
}

impl Node {
    fn describe(&self, path: &str, link: Option<&str>) -> Value {
        let Inode { mode, uid, gid, mtime, capability } = &self.inode;
        let mut value = json!({"path": path, "type": self.kind.name(), "uid": uid, "gid": gid});
        let mut set = |key: &str, member: Value| value[key] = member;
        if !matches!(self.kind, Kind::Symlink(_)) {
            set("mode", format!("{mode:04o}").into());
        }
        match &self.kind {
            Kind::File { size, sha256, text } => {
                set("size", (*size).into());
                set("sha256", sha256.as_str().into());
                if let Some(text) = text {
                    set("text", text.as_str().into());
                }
            }
            Kind::Symlink(target) | Kind::Hardlink(target) | Kind::Broken(target) => {
                set("target", target.as_str().into());
            }
            Kind::Char(device) | Kind::Block(device) => set("device", device.as_str().into()),
            Kind::Dir | Kind::Fifo => {}
        }
        if let Some(capability) = capability {
            set("capability", capability.as_str().into());
        }
        if let Some(first) = link {
            set("hardlink", first.into());
        }
        if *mtime < RECENT {
            set("mtime", (*mtime).into());
        }
        value
    }
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Dir => "dir",
            Self::Symlink(_) => "symlink",
            Self::Hardlink(_) => "hardlink",
            Self::Fifo => "fifo",
            Self::Char(_) => "char",
            Self::Block(_) => "block",
            Self::Broken(_) => "broken hardlink",
        }
    }
}

/// What is wrong with a layer, whatever is in it: names, order, duplicates.
pub(super) fn problems(layer: &[Entry]) -> Vec<String> {
    let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
    for Entry { path, .. } in layer {
        if path.starts_with('/') || path.starts_with("./") || path.is_empty() || path == "." {
            problems.push(format!("entry name {path:?}"));
        }
        if seen.contains(path.as_str()) {
            problems.push(format!("{path} appears twice"));
        }
        let parent = split(path).0;
        if !parent.is_empty() && seen.insert(parent) {
            problems.push(format!("{path} comes without its parent directory"));
        }
        seen.insert(path);
    }
    problems
}

/// The paths of a layer in order; folders end in `/`, and mount points are left out.
pub(super) fn paths(layer: &[Entry]) -> Vec<String> {
    let below =
        |path: &str| layer.iter().any(|e| e.path.strip_prefix(path).is_some_and(|r| r.starts_with('/')));
    let kept = layer
        .iter()
        .filter(|e| !(e.kind == Kind::Dir && MOUNT_POINTS.contains(&e.path.as_str()) && !below(&e.path)));
    let mut paths: Vec<_> =
        kept.map(|e| if e.kind == Kind::Dir { format!("{}/", e.path) } else { e.path.clone() }).collect();
    paths.sort();
    paths
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.into(), kind, inode: Inode { mtime: RECENT, ..Inode::default() } }
    }

    fn file(text: &str) -> Kind {
        Kind::File { size: text.len() as u64, sha256: text.into(), text: Some(text.into()) }
    }

    fn tree(layers: &[&[Entry]]) -> Tree {
        let mut tree = Tree::default();
        layers.iter().for_each(|layer| tree.add(layer));
        tree
    }

    fn changed(a: &Tree, b: &Tree) -> (Vec<String>, Vec<String>) {
        let (entries, removed) = a.changes(b);
        (entries.iter().map(|e| e["path"].as_str().unwrap().to_owned()).collect(), removed)
    }

    #[test]
    fn whiteouts_remove_and_links_share() {
        let base =
            [entry("d", Kind::Dir), entry("d/a", file("a")), entry("d/b", file("b")), entry("c", file("c"))];
        let gone = [entry("d", Kind::Dir), entry("d/.wh.a", file("")), entry(".wh.c", file(""))];
        let link = [entry("l", Kind::Hardlink("d/b".into()))];
        let (below, above) = (tree(&[&base]), tree(&[&base, &gone, &link]));
        assert_eq!(changed(&above, &below), (vec!["d/b".into(), "l".into()], vec!["c".into(), "d/a".into()]));
        let opaque = [entry("d", Kind::Dir), entry("d/.wh..wh..opq", file("")), entry("d/n", file("n"))];
        let above = tree(&[&base, &opaque]);
        assert_eq!(changed(&above, &below), (vec!["d/n".into()], vec!["d/a".into(), "d/b".into()]));
    }

    #[test]
    fn mount_points_are_passed_over() {
        let layer = [entry("proc", Kind::Dir), entry("dev", Kind::Dir), entry("dev/x", file("x"))];
        assert_eq!(changed(&tree(&[&layer]), &Tree::default()).0, ["dev", "dev/x"]);
        assert_eq!(paths(&layer), ["dev/", "dev/x"]);
    }

    #[test]
    fn bad_layers_are_seen() {
        let layer =
            [entry("a/b", file("")), entry("x", file("")), entry("x", file("")), entry("/y", file(""))];
        assert_eq!(
            problems(&layer),
            ["a/b comes without its parent directory", "x appears twice", "entry name \"/y\""]
        );
    }
}
