//! What real overlayfs leaves behind, normalised; the cases are those of the recorded conformance cases `layer-*`.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use super::support::{Scratch, flavour, open, paths, skip_unless_root};
use crate::layer::{Author, OwnTimes, View, identity, normalize, write_tar};

/// Layers that grow by shell commands, run in a merged mount.
struct Chain {
    folder: Scratch,
    layers: usize,
}

impl Chain {
    fn new() -> Self {
        Self { folder: Scratch::new(), layers: 0 }
    }

    fn path(&self, layer: usize) -> std::path::PathBuf {
        self.folder.path(&format!("{layer}/fs"))
    }

    fn view(&self) -> View {
        View::new((0..self.layers).rev().map(|layer| open(&self.path(layer))).collect(), flavour())
    }

    /// Runs `script` in the root of the merged tree; None when this machine cannot mount overlays.
    fn run(&mut self, script: &str) -> Option<Vec<String>> {
        let own = self.folder.path(&self.layers.to_string());
        for name in ["fs", "work", "merged", "empty"] {
            std::fs::create_dir_all(own.join(name)).unwrap();
        }
        let lowers: Vec<String> = (0..self.layers)
            .rev()
            .map(|layer| format!("../{layer}/fs"))
            .chain(["empty".to_owned()])
            .collect();
        let mount = format!(
            "mount -t overlay overlay -o lowerdir={},upperdir=fs,workdir=work merged || exit 77\ncd merged && set -e\n{script}\n",
            lowers.join(":")
        );
        let output =
            Command::new("unshare").args(["-m", "sh", "-c", &mount]).current_dir(&own).output().ok()?;
        if output.status.code() == Some(77) {
            println!("SKIP: no overlay mounts here: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        let before = listing(&own.join("merged"), &self.path(self.layers), &self.view());
        normalize(open(&self.path(self.layers)).as_fd(), &self.view(), flavour(), Author::Process).unwrap();
        self.layers += 1;
        assert_eq!(before, paths(&self.view()), "{script}: the merged tree is another one now");
        Some(self.tar_names(self.layers - 1))
    }

    /// The names in the layer's tar, as the conformance cases list them.
    fn tar_names(&self, layer: usize) -> Vec<String> {
        let mut tar = Vec::new();
        write_tar(open(&self.path(layer)).as_fd(), flavour(), &mut tar).unwrap();
        let mut reader = crate::layer::TarReader::new(&tar[..]);
        let mut names = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            names.push(String::from_utf8(entry.path).unwrap());
        }
        names.sort();
        names
    }
}

/// The merged tree before normalising: the raw upper directory over the layers.
fn listing(_merged: &Path, upper: &Path, lower: &View) -> Vec<String> {
    let mut layers = vec![open(upper)];
    layers.extend(
        (0..lower.root().depth())
            .filter_map(|layer| lower.layer(layer))
            .map(|fd| fd.try_clone_to_owned().unwrap()),
    );
    paths(&View::new(layers, flavour()))
}

/// Steps, each with what its layer has to hold.
fn check(name: &str, steps: &[(&str, &[&str])]) {
    if skip_unless_root(name) {
        return;
    }
    let mut chain = Chain::new();
    for (script, expected) in steps {
        let Some(names) = chain.run(script) else { return };
        let mut expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        expected.sort();
        assert_eq!(names, expected, "{name}: {script}");
    }
}

const BASE: &str = "mkdir -p bin etc var/spool/mail home && echo b > bin/busybox && echo v > bin/vi && echo p > etc/passwd \
    && echo g > etc/group && touch -d '2001-01-01' etc/passwd etc/group bin/busybox bin/vi";
const BASE_NAMES: &[&str] = &[
    "bin/",
    "bin/busybox",
    "bin/vi",
    "etc/",
    "etc/group",
    "etc/passwd",
    "home/",
    "var/",
    "var/spool/",
    "var/spool/mail/",
];

#[test]
fn deletions() {
    check(
        "deletions",
        &[
            (BASE, BASE_NAMES),
            (
                "rm bin/vi etc/group && rm -r var/spool",
                &["bin/", "bin/.wh.vi", "etc/", "etc/.wh.group", "var/", "var/.wh.spool"],
            ),
            (
                "mkdir -p a/b/c && touch a/f a/b/f a/b/c/f",
                &["a/", "a/b/", "a/b/c/", "a/b/c/f", "a/b/f", "a/f"],
            ),
            ("rm a/f && rm -r a/b/c", &["a/", "a/.wh.f", "a/b/", "a/b/.wh.c"]),
            ("rm -r a", &[".wh.a"]),
            ("touch temp && rm temp && mkdir t && rmdir t", &[]),
        ],
    );
}

#[test]
fn folders_deleted_and_made_again() {
    check(
        "folders_deleted_and_made_again",
        &[
            (BASE, BASE_NAMES),
            (
                "mkdir -p d/sub e && touch d/old d/same d/sub/x e/f",
                &["d/", "d/old", "d/same", "d/sub/", "d/sub/x", "e/", "e/f"],
            ),
            (
                "rm -rf d && mkdir d && touch d/new d/same",
                &["d/", "d/.wh.old", "d/.wh.sub", "d/new", "d/same"],
            ),
            ("rm -rf e && mkdir e", &["e/", "e/.wh.f"]),
            (
                "rm -rf var && mkdir -p var/spool/new",
                &["var/", "var/spool/", "var/spool/.wh.mail", "var/spool/new/"],
            ),
        ],
    );
}

#[test]
fn hard_links() {
    check(
        "hard_links",
        &[
            (
                "echo one > a && ln a b && mkdir s && ln a s/c && echo two > z && ln z m",
                &["a", "b", "m", "s/", "s/c", "z"],
            ),
            ("rm a", &[".wh.a"]),
            ("echo three > x && ln x y && rm x", &["y"]),
        ],
    );
    // The first of the recorded results: only the new name, as a file of its own.
    check(
        "hard_links_across",
        &[(BASE, BASE_NAMES), ("echo one > a && ln a b", &["a", "b"]), ("ln a c", &["c"])],
    );
    check(
        "hard_links_to_the_base",
        &[(BASE, BASE_NAMES), ("ln etc/group etc/group.link", &["etc/", "etc/group.link"])],
    );
}

#[test]
fn metadata() {
    check(
        "metadata",
        &[
            (BASE, BASE_NAMES),
            (
                "mkdir d && echo 1 > d/f && echo 2 > d/g && ln -s f d/l && touch -d '2001-01-01 01:01:01' d/f d/g",
                &["d/", "d/f", "d/g", "d/l"],
            ),
            ("chmod 600 d/f", &["d/", "d/f"]),
            ("chown 5:6 d d/g", &["d/", "d/g"]),
            ("chown -h 7:7 d/l", &["d/", "d/l"]),
            ("touch -d '2002-02-02 02:02:02' d/g", &["d/", "d/g"]),
            ("chmod 1777 var && chmod u+s bin/busybox", &["bin/", "bin/busybox", "var/"]),
            ("chmod 600 d/f && chown 5:6 d", &[]),
            ("touch d", &[]),
            ("cat etc/passwd && touch -r etc/passwd etc/passwd", &[]),
        ],
    );
}

#[test]
fn rewriting() {
    check(
        "rewriting",
        &[
            ("echo same > f && echo keep > k && touch -d '2003-03-03 03:03:03' f k", &["f", "k"]),
            ("echo same > f", &["f"]),
            ("cp -p k k2 && rm k && mv k2 k", &[]),
            ("touch -d '2003-03-03 03:03:03' f", &["f"]),
        ],
    );
}

#[test]
fn replacing_and_renaming() {
    check(
        "replacing",
        &[
            (
                "mkdir -p dir/in dir2/in && echo f > file && ln -s file link && echo g > file2 && ln -s dir dlink",
                &["dir/", "dir/in/", "dir2/", "dir2/in/", "dlink", "file", "file2", "link"],
            ),
            (
                "rm -r dir && echo now > dir && rm file && mkdir file && echo in > file/in && rm link && mkdir link && \
          rm -r dir2 && ln -s file2 dir2 && rm file2 && ln -s nowhere file2 && rm dlink && echo x > dlink",
                &["dir", "dir2", "dlink", "file/", "file/in", "file2", "link/"],
            ),
        ],
    );
    check(
        "renaming",
        &[
            (BASE, BASE_NAMES),
            (
                "mkdir -p one/sub && echo f > one/f && echo g > one/sub/g && ln -s f one/l",
                &["one/", "one/f", "one/l", "one/sub/", "one/sub/g"],
            ),
            ("mv one two", &[".wh.one", "two/", "two/f", "two/l", "two/sub/", "two/sub/g"]),
            (
                "mv two/sub/g two/renamed && mv etc/group etc/group.moved && mv two/f two/l",
                &[
                    "etc/",
                    "etc/.wh.group",
                    "etc/group.moved",
                    "two/",
                    "two/.wh.f",
                    "two/l",
                    "two/renamed",
                    "two/sub/",
                    "two/sub/.wh.g",
                ],
            ),
            ("mv two one", &[".wh.two", "one/", "one/l", "one/renamed", "one/sub/"]),
        ],
    );
}

#[test]
fn odd_things() {
    check(
        "odd_things",
        &[
            (
                "mkfifo -m 640 fifo && mknod -m 660 chr c 5 1 && mknod blk b 8 17 && echo s > suid && chmod 6755 suid && \
          mkdir -m 3777 sticky && ln -s 'a b' 'l k' && mkdir 'with blank' && touch \"with blank/a'b\" 'ünï'",
                &["blk", "chr", "fifo", "l k", "sticky/", "suid", "with blank/", "with blank/a'b", "ünï"],
            ),
            (
                "rm 'ünï' fifo chr && rm -r 'with blank'",
                &[".wh.chr", ".wh.fifo", ".wh.with blank", ".wh.ünï"],
            ),
            ("chmod 600 blk && chmod 660 blk", &["blk"]),
            (
                "mkdir o o/a o/a.d o/a-b && touch o/a/f o/a.d/f o/a-b/f o/a.txt",
                &["o/", "o/a-b/", "o/a-b/f", "o/a.d/", "o/a.d/f", "o/a.txt", "o/a/", "o/a/f"],
            ),
            ("cd o && rm a.txt a/f && rm -r a-b", &["o/", "o/.wh.a-b", "o/.wh.a.txt", "o/a/", "o/a/.wh.f"]),
        ],
    );
}

#[test]
fn times_of_parents_are_those_that_the_process_left() {
    if skip_unless_root("times_of_parents_are_those_that_the_process_left") {
        return;
    }
    let mut chain = Chain::new();
    if chain.run("mkdir d && echo keep > d/k && echo f > d/f && touch -d '2003-03-03' d/k").is_none() {
        return;
    }
    let names = chain.run("cat d/k > d/t && cp -p d/k d/k2 && rm d/k d/t && mv d/k2 d/k && echo g > d/f && touch -d '2004-04-04 UTC' d").unwrap();
    assert_eq!(names, ["d/", "d/f"]);
    let dir = chain.view().lookup(b"d", crate::layer::Follow::Last).unwrap().unwrap();
    assert_eq!(dir.metadata().mtime.secs, 1_081_036_800);
}

#[test]
fn the_same_work_makes_the_same_layer() {
    if skip_unless_root("the_same_work_makes_the_same_layer") {
        return;
    }
    let make = || {
        let mut chain = Chain::new();
        chain.run("mkdir -p a/b && echo x > a/b/c && mkdir gone")?;
        chain.run("echo y > a/b/d && rm -r gone && mkdir gone && touch a/b/e && rm a/b/e")?;
        Some(identity(open(&chain.path(1)).as_fd(), flavour(), OwnTimes::IgnoreAll).unwrap())
    };
    assert_eq!(make(), make());
}

/// The same rules without a mount, so that they are tested where no overlay can be mounted.
#[test]
fn upper_directories_made_by_hand() {
    if skip_unless_root("upper_directories_made_by_hand") {
        return;
    }
    let low = Scratch::new();
    low.dir("d")
        .file("d/a", "a")
        .file("d/b", "b")
        .dir("same")
        .file("same/f", "f")
        .file("f", "f")
        .dir("old")
        .file("old/x", "");
    let view = View::new(vec![low.fd()], flavour());
    let up = Scratch::new();
    up.dir("d").opaque("d").file("d/a", "a").file("d/new", "n");
    up.dir("same").file("same/f", "f").file("f", "F").whiteout("old").whiteout("never-there");
    let socket = std::os::unix::net::UnixListener::bind(up.path("socket")).unwrap();
    normalize(up.fd().as_fd(), &view, flavour(), Author::Process).unwrap();
    drop(socket);
    assert_eq!(up.list(), ["d/", "d/b gone", "d/new 1", "f 1", "old gone"]);
}
