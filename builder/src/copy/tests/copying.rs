//! COPY: rows 67 to 97 of the spec's catalogue.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use rbuild_parser::pattern::IgnorePatterns;
use rbuild_parser::plan::{BaseId, Copy, CopySource, InlineFile, Root};

use super::ground::{Ground, copy, is_root, list, make, octal, parents, symbolic, tidy};
use crate::context::{Context, HashCache};
use crate::copy::{Reuse, Twin, Wanted};

const FILES: &str = "foo=f 644
    bar=b 644
    sub/file=s 644
    sub/dir1/dir2/foo=deep 644
    sub/lfoo -> ../foo
    link -> sub
    flink -> foo
    abs -> /sub/file";

/// Files of the context, entries of the destination's one layer, instruction, and what the layer holds.
fn check(files: &str, dest: &str, copy: &Copy, want: &str) {
    let mut ground = Ground::new();
    make(&ground.context(), files);
    if !dest.is_empty() {
        ground.layer(dest);
    }
    assert_eq!(ground.tree(copy), tidy(want), "{copy:?}");
}

#[test]
fn wildcards_and_links() {
    let f = FILES;
    check(f, "", &copy(&["/foo", "/nomatch*"], "/"), "foo=f 644 @");
    check(f, "", &copy(&["/missing*"], "/dir/"), "");
    check(
        f,
        "",
        &copy(&["/sub/*"], "/d/"),
        "d/ 755
        d/dir2/ 755 @
        d/dir2/foo=deep 644 @
        d/file=s 644 @
        d/lfoo=f 644 @",
    );
    check(f, "", &copy(&["/f*o"], "/foo2"), "foo2=f 644 @");
    check(f, "", &copy(&["/flink"], "/"), "flink=f 644 @");
    check(f, "", &copy(&["/link/file"], "/"), "file=s 644 @");
    check(
        f,
        "",
        &copy(&["/abs"], "/x/"),
        "x/ 755
        x/abs=s 644 @",
    );
    check(
        f,
        "",
        &copy(&["/sub"], "/d"),
        "d/ 755 @
        d/dir1/ 755 @
        d/dir1/dir2/ 755 @
        d/dir1/dir2/foo=deep 644 @
        d/file=s 644 @
        d/lfoo -> ../foo",
    );
    check(f, "", &copy(&["/foo", "/bar"], "/one"), "one=b 644 @");
    check("[xyz]/f=a 644", "", &copy(&["/[[]xyz]/f"], "/"), "f=a 644 @");
    check("a/up -> ../../../x\nx=in 644", "", &copy(&["/a/up"], "/"), "up=in 644 @");
}

#[test]
fn missing_sources() {
    let f = FILES;
    let missing = |path: &str| {
        format!(
            "error: failed to compute cache key: failed to calculate checksum of ref context: \"{path}\": not found"
        )
    };
    check(f, "", &copy(&["/fooo"], "/"), &missing("/fooo"));
    check(f, "", &copy(&["/foo", "/gone"], "/"), &missing("/gone"));
    check(f, "", &copy(&["/nodir/*"], "/"), "error: lstat /nodir: no such file or directory");
    let from_image = Copy { from: Root::Base(BaseId(0)), ..copy(&["/no/such"], "/") };
    check(f, "", &from_image, "error: lstat /no/such: no such file or directory");
    let mut ground = Ground::new();
    make(&ground.context(), f);
    let error = ground.run(&copy(&["/fooo"], "/")).unwrap_err();
    assert_eq!(error.help(), ["did you mean foo?"]);
    ground.ignore = Some(IgnorePatterns::parse(b"foo\n").unwrap());
    let error = ground.run(&copy(&["/foo"], "/")).unwrap_err();
    assert!(error.help()[0].contains(".dockerignore"), "{:?}", error.help());
}

#[test]
fn destinations() {
    let f = FILES;
    check(
        f,
        "tmp/\nsymlink -> ../tmp/target",
        &copy(&["/foo"], "/symlink/"),
        "tmp/ 755
        tmp/target/ 755
        tmp/target/foo=f 644 @",
    );
    check(
        f,
        "d/\nd/old=o",
        &copy(&["/foo"], "/d"),
        "d/ 755
        d/foo=f 644 @",
    );
    check(f, "d=file", &copy(&["/foo"], "/d/"), "error: mkdir /d: not a directory");
    check(f, "d=file", &copy(&["/foo"], "/d"), "d=f 644 @");
    check(
        f,
        "real/\nd/dir1 -> ../real",
        &copy(&["/sub"], "/d"),
        "error: cannot copy to non-directory: /d/dir1",
    );
    check(f, "d/file/", &copy(&["/sub"], "/d"), "error: cannot replace to directory /d/file with file");
    check(f, "d/lfoo/x=1", &copy(&["/sub"], "/d"), "error: cannot replace to directory /d/lfoo with file");
    check(
        f,
        "d/lfoo=1\nd/file -> foo",
        &copy(&["/sub"], "/d"),
        "d/ 755 @
        d/dir1/ 755 @
        d/dir1/dir2/ 755 @
        d/dir1/dir2/foo=deep 644 @
        d/file=s 644 @
        d/lfoo -> ../foo",
    );
}

#[test]
fn owners_and_modes() {
    if !is_root() {
        return;
    }
    let mut ground = Ground::new();
    make(&ground.context(), "d/f=1 644 7:7\nd/sub/n=2 4755");
    ground.layer("d/ 700 500:600\nd/sub/ 711 9:9\nd/other=x 644 3:3\netc/passwd=daemon:x:2:3::/:\netc/group=nobody:x:99:");
    let mut tree = |copy: Copy| ground.tree(&copy);
    assert_eq!(
        tree(copy(&["/d"], "/d")),
        tidy(
            "d/ 700 500:600 @
        d/f=1 644 @
        d/sub/ 755 @
        d/sub/n=2 4755 @"
        )
    );
    let chown = |owner: &str, c: Copy| Copy { chown: Some(owner.to_owned()), ..c };
    assert_eq!(
        tree(chown("99:98", copy(&["/d"], "/d"))),
        tidy(
            "d/ 700 500:600 @
        d/f=1 644 99:98 @
        d/sub/ 755 99:98 @
        d/sub/n=2 4755 99:98 @"
        )
    );
    assert_eq!(
        tree(chown("daemon", copy(&["/d/f"], "/x/"))),
        tidy(
            "x/ 755 2:3
        x/f=1 644 2:3 @"
        )
    );
    assert_eq!(tree(chown("5:nobody", copy(&["/d/f"], "/"))), "f=1 644 5:99 @");
    assert_eq!(tree(chown("5", copy(&["/d/f"], "/"))), "f=1 644 5:5 @");
    assert_eq!(tree(chown("whoever:nogroup", copy(&["/d/f"], "/"))), "f=1 644 @");
    let link = Copy { link: true, ..copy(&["/d/f"], "/") };
    assert_eq!(tree(chown("daemon", link.clone())), "error: invalid user index: -1");
    assert_eq!(
        tree(chown("4:5", Copy { dest: "/d/".into(), ..link })),
        tidy(
            "d/ 755 4:5
        d/f=1 644 4:5 @"
        )
    );
    let mut empty = Ground::new();
    make(&empty.context(), "f=1 644");
    assert_eq!(empty.tree(&chown("daemon", copy(&["/f"], "/"))), "error: invalid user index: -1");
    assert_eq!(empty.tree(&chown("root:root", copy(&["/f"], "/"))), "f=1 644 @");
}

#[test]
fn modes_asked_for() {
    let f = "foo=f 640\nd/x=1 755\nd/l -> x";
    let mode = |chmod, c: Copy| Copy { chmod, ..c };
    check(
        f,
        "",
        &mode(octal(0o777), copy(&["/foo"], "/parent/foo")),
        "parent/ 777
        parent/foo=f 777 @",
    );
    check(f, "", &mode(octal(0), copy(&["/foo"], "/x")), "x=f 0 @");
    check(
        f,
        "",
        &mode(symbolic("go-rwx,u+x"), copy(&["/foo"], "/p/")),
        "p/ 755
        p/foo=f 700 @",
    );
    check(
        f,
        "",
        &mode(symbolic("go-x"), copy(&["/d"], "/d")),
        "d/ 755 @
        d/l -> x
        d/x=1 744 @",
    );
}

#[test]
fn keeping_parents() {
    let f = "a/b/f=1 644\na/b/other=2 644\na/c/f=3 644\nc/g=4 644\na/ 710\na/b/ 701\nln -> a";
    check(
        f,
        "",
        &parents(&["/a/b/f", "/c/g"], "/o/"),
        "o/ 755
        o/a/ 710 @
        o/a/b/ 701 @
        o/a/b/f=1 644 @
        o/c/ 755 @
        o/c/g=4 644 @",
    );
    check(
        f,
        "",
        &parents(&["/a/./b/f"], "/o/"),
        "o/ 755 @
        o/b/ 701 @
        o/b/f=1 644 @",
    );
    check(
        f,
        "",
        &parents(&["/a/*/f"], "/o/"),
        "o/ 755
        o/a/ 710 @
        o/a/b/ 701 @
        o/a/b/f=1 644 @
        o/a/c/ 755 @
        o/a/c/f=3 644 @",
    );
    check(
        f,
        "",
        &parents(&["/**/g"], "/o/"),
        "o/ 755
        o/c/ 755 @
        o/c/g=4 644 @",
    );
    check(f, "", &parents(&["/none*/x"], "/six/"), "six/ 755");
    check(
        f,
        "",
        &parents(&["/ln"], "/o/"),
        "o/ 755
        o/ln -> a",
    );
    let missing = "error: failed to compute cache key: failed to calculate checksum of ref context: \"/ln/b\": not found";
    check(f, "", &parents(&["/ln/b"], "/o/"), missing);
}

#[test]
fn excludes_and_ignore_files() {
    let f = "src/a.log=a 644\nsrc/x.txt=x 644\nsrc/sub/b.log=b 644\nsrc/sub/keep.log=k 644\nsub/z=z 644";
    let without = |patterns: &[&str], c: Copy| Copy {
        exclude: patterns.iter().map(|p| (*p).to_owned()).collect(),
        ..c
    };
    check(
        f,
        "",
        &without(&["*.log"], copy(&["/src"], "/o")),
        "o/ 755 @
        o/sub/ 755 @
        o/sub/b.log=b 644 @
        o/sub/keep.log=k 644 @
        o/x.txt=x 644 @",
    );
    check(
        f,
        "",
        &without(&["**/*.log", "!**/keep.log"], copy(&["/src"], "/o")),
        "o/ 755 @
        o/sub/ 755 @
        o/sub/keep.log=k 644 @
        o/x.txt=x 644 @",
    );
    check(
        f,
        "",
        &without(&["*", "!src/sub/keep.log"], copy(&["/"], "/o/")),
        "o/ 755
        o/src/ 755 @
        o/src/sub/ 755 @
        o/src/sub/keep.log=k 644 @",
    );
    check(
        f,
        "",
        &without(&["*.txt"], copy(&["/src/x.txt"], "/o/")),
        "o/ 755
        o/x.txt=x 644 @",
    );
    check(f, "", &without(&["*"], copy(&["/s*"], "/o")), "o/ 755 @");
    let mut ground = Ground::new();
    make(&ground.context(), f);
    ground.ignore = Some(IgnorePatterns::parse(b"*\n!src/sub\nsrc/sub/b.log\n").unwrap());
    assert_eq!(
        ground.tree(&copy(&["/"], "/")),
        tidy(
            "src/ 755 @
        src/sub/ 755 @
        src/sub/keep.log=k 644 @"
        )
    );
    assert!(ground.tree(&copy(&["/sub/z"], "/")).ends_with("\"/sub/z\": not found"));
    assert_eq!(ground.tree(&copy(&["/s*/s*"], "/")), "keep.log=k 644 @");
}

#[test]
fn heredocs_and_sockets() {
    let mut ground = Ground::new();
    let _socket = UnixListener::bind(ground.context().join("sock")).unwrap();
    fs::set_permissions(ground.context().join("sock"), fs::Permissions::from_mode(0o600)).unwrap();
    make(&ground.context(), "");
    assert_eq!(ground.tree(&copy(&["/"], "/")), "sock= 600 @");
    let inline = |name: &str, data: &str| {
        CopySource::Inline(InlineFile { name: name.to_owned(), data: data.to_owned() })
    };
    let mut two = copy(&[], "/d/");
    two.sources = vec![inline("one", "1"), inline("two", "2")];
    assert_eq!(
        ground.tree(&two),
        tidy(
            "d/ 755
        d/one=1 644
        d/two=2 644"
        )
    );
}

#[test]
fn hard_links_stay_and_others_do_not_arise() {
    let mut ground = Ground::new();
    let layer = ground.layer("t/a=text 644\nt/other=text 644");
    fs::hard_link(layer.join("t/a"), layer.join("t/b")).unwrap();
    let from = Arc::new(Context::layers(ground.view(), HashCache::in_memory()));
    ground.layers.clear();
    let upper = ground.run_from(&copy(&["/t"], "/x"), &from, None).unwrap();
    let inode = |path: &str| fs::metadata(upper.join(path)).unwrap().ino();
    assert_eq!(inode("x/a"), inode("x/b"));
    assert_ne!(inode("x/a"), inode("x/other"));
    // Unchanged, so the layer's own file was taken.
    assert_eq!(inode("x/other"), fs::metadata(layer.join("t/other")).unwrap().ino());
    // Copied twice, only one of the two may be that file.
    let upper = ground.run_from(&copy(&["/t/other", "/t"], "/x/"), &from, None).unwrap();
    assert_eq!(
        list(&upper),
        tidy(
            "x/ 755
        x/a=text 644 @
        x/b=text 644 @
        x/other=text 644 @"
        )
    );
    let mut both = copy(&["/t/other"], "/x/y/");
    both.sources.push(CopySource::Path("/t".into()));
    let upper = ground.run_from(&both, &from, None).unwrap();
    assert!(upper.join("x/y/other").exists());
}

/// Offers one file, called `old`, for everything that is equal to it.
struct One(PathBuf, fs::File);

impl Reuse for One {
    fn find(&self, wanted: &Wanted, _: &[u8]) -> Option<Twin<'_>> {
        let same = blake3::hash(&fs::read(self.0.join("old")).unwrap()).as_bytes() == &wanted.content;
        same.then(|| Twin { root: self.1.as_fd(), path: b"old" })
    }

    fn made(&self, _: &Wanted, _: &[u8]) {}
}

#[test]
fn equal_files_of_earlier_layers_are_linked_once() {
    let mut ground = Ground::new();
    make(&ground.context(), "a=same 644\nb=same 644\nc=else 644");
    let layer = ground.layer("old=same 644");
    std::thread::sleep(std::time::Duration::from_millis(30));
    ground.digest(&copy(&["/"], "/"));
    let source = ground.source();
    let reuse = One(layer.clone(), fs::File::open(&layer).unwrap());
    let upper = ground.run_from(&copy(&["/"], "/"), &source, Some(&reuse)).unwrap();
    assert_eq!(
        list(&upper),
        tidy(
            "a=same 644 @
        b=same 644 @
        c=else 644 @"
        )
    );
    let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
    let old = inode(layer.join("old"));
    let linked = ["a", "b", "c"].iter().filter(|name| inode(upper.join(name)) == old).count();
    assert_eq!(linked, 1);
}

#[test]
fn layers_as_a_source_are_seen_merged() {
    let mut ground = Ground::new();
    ground.layer("app/lib/x=1 644\napp/gone/y=2 644\napp/l -> lib");
    let top = ground.layer("app/new=3 600");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        top.join("app/gone"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        0,
    )
    .unwrap();
    let from = Arc::new(Context::layers(ground.view(), HashCache::in_memory()));
    ground.layers.clear();
    let upper = ground.run_from(&copy(&["/app"], "/o"), &from, None).unwrap();
    // The device that hides a name changed the time of the layer's own directory.
    assert_eq!(
        list(&upper),
        tidy(
            "o/ 755
            o/l -> lib
            o/lib/ 755 @
            o/lib/x=1 644 @
            o/new=3 600 @"
        )
    );
    let upper = ground.run_from(&copy(&["/app/l/x"], "/"), &from, None).unwrap();
    assert_eq!(list(&upper), "x=1 644 @");
}
