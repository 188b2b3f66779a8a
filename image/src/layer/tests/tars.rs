//! The canonical tar, byte for byte and as others read it.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use super::support::{Archive, Scratch, flavour, is_root, skip_unless_root};
use crate::digest::Digest;
use crate::layer::{
    Known, KnownContents, OwnTimes, diff_id, identify, identity, listed_tar, seal, write_known_tar, write_tar,
};
use crate::time::Timestamp;

fn tar_of(scratch: &Scratch) -> Vec<u8> {
    let mut out = Vec::new();
    let summary = write_tar(scratch.fd().as_fd(), flavour(), &mut out).unwrap();
    assert_eq!(summary.size, out.len() as u64);
    assert_eq!(summary.diff_id.0, Digest::of(&out));
    assert_eq!(diff_id(scratch.fd().as_fd(), flavour()).unwrap(), summary.diff_id);
    out
}

#[test]
fn an_empty_layer_is_two_blocks() {
    let scratch = Scratch::new();
    assert_eq!(tar_of(&scratch), [0; 1024]);
    let id = diff_id(scratch.fd().as_fd(), flavour()).unwrap();
    assert_eq!(id.to_string(), "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
}

/// A header of USTAR, written out by hand.
fn header(name: &[u8], fields: [&str; 5], kind: u8, link: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    let [mode, uid, gid, size, mtime] = fields;
    for (at, text) in
        [(100, mode), (108, uid), (116, gid), (124, size), (136, mtime), (329, "0000000"), (337, "0000000")]
    {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn the_tar_is_written_byte_for_byte() {
    if skip_unless_root("the_tar_is_written_byte_for_byte") {
        return;
    }
    let scratch = Scratch::new();
    scratch
        .dir("d")
        .file("d/f", "hi\n")
        .hard("d/g", "d/f")
        .link("l", "d/f")
        .whiteout("gone")
        .time("d", 1_000_000_000);
    let epoch = "07346545000";
    let mut expected = header(b"d/", ["0000755", "0000000", "0000000", "00000000000", epoch], b'5', b"");
    expected.extend(header(b"d/f", ["0000644", "0000000", "0000000", "00000000003", epoch], b'0', b""));
    let mut content = b"hi\n".to_vec();
    content.resize(512, 0);
    expected.extend(content);
    expected.extend(header(b"d/g", ["0000644", "0000000", "0000000", "00000000000", epoch], b'1', b"d/f"));
    expected.extend(header(
        b".wh.gone",
        ["0000000", "0000000", "0000000", "00000000000", "00000000000"],
        b'0',
        b"",
    ));
    expected.extend(header(b"l", ["0000777", "0000000", "0000000", "00000000000", epoch], b'2', b"d/f"));
    expected.extend([0; 1024]);
    assert!(tar_of(&scratch) == expected);
}

#[test]
fn a_name_of_another_alphabet_has_a_pax_header() {
    let scratch = Scratch::new();
    scratch.file("ü", "");
    let tar = tar_of(&scratch);
    assert_eq!(&tar[..14], b"PaxHeaders.0\0\0", "what is left of the name when such letters go");
    assert_eq!(tar[156], b'x');
    assert_eq!(&tar[512..512 + 12], "11 path=ü\n\0".as_bytes());
    assert_eq!(tar[1024], 0, "the name in the header itself has no such letter");
    assert_eq!(tar.len(), 3 * 512 + 1024);
}

#[test]
fn names_that_ustar_can_split_are_split() {
    let scratch = Scratch::new();
    let (dir, name) = ("p".repeat(120), "n".repeat(90));
    scratch.dir(&dir).file(&format!("{dir}/{name}"), "");
    let tar = tar_of(&scratch);
    // The directory's own name is too long for the name field and has no slash to split it at.
    assert_eq!(tar[156], b'x');
    let file = &tar[3 * 512..4 * 512];
    assert_eq!(&file[..90], name.as_bytes());
    assert_eq!(&file[345..465], dir.as_bytes());
}

/// What Python's `tarfile` and GNU tar make of it.
#[test]
fn other_programs_read_the_tar() {
    let scratch = Scratch::new();
    let long = "x".repeat(180);
    scratch.dir("d").file("d/f", "hello").hard("d/g", "d/f").link("l", &"t".repeat(150)).file(&long, "long");
    scratch.file("ünï", "u").file("new\nline", "").mode("d/f", 0o4755).time("d/f", -5);
    if is_root() {
        scratch.whiteout("gone");
        let path = scratch.path("big-owner");
        std::fs::write(&path, "o").unwrap();
        std::os::unix::fs::chown(&path, Some(3_000_000), Some(2_097_152)).unwrap();
        scratch.time("big-owner", 1_000_000_000);
    }
    let tar = tar_of(&scratch);
    let script = "import sys,tarfile,io\nt=tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()))\n\
        for m in t: print(repr(m.name),m.type.decode(),oct(m.mode),m.uid,m.gid,m.size,int(m.mtime),repr(m.linkname))";
    let Some(listing) = pipe("python3", &["-c", script], &tar) else { return println!("SKIP: no python3") };
    assert!(listing.contains("'d/f' 0 0o4755 "), "{listing}");
    assert!(listing.contains(" 5 -5 ''"), "{listing}");
    assert!(listing.contains("'d/g' 1 0o4755 "), "{listing}");
    assert!(listing.contains(&format!("'{}'", "t".repeat(150))), "{listing}");
    assert!(listing.contains(&format!("'{long}' 0 0o644")), "{listing}");
    assert!(listing.contains("'ünï'") && listing.contains(r"'new\nline'"), "{listing}");
    if is_root() {
        assert!(listing.contains("'.wh.gone' 0 0o0 0 0 0 0 ''"), "{listing}");
        assert!(listing.contains("'big-owner' 0 0o644 3000000 2097152 1 1000000000 ''"), "{listing}");
    }
    let Some(listing) = pipe("tar", &["-tf", "-"], &tar) else { return println!("SKIP: no tar") };
    assert_eq!(listing.lines().count(), scratch.entries().len(), "{listing}");
}

fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env("PYTHONUTF8", "1")
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} does not like it");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn large_layers_are_the_same_with_threads() {
    let scratch = Scratch::new();
    let mut content = vec![0; (3 << 20) + 777];
    for (index, byte) in content.iter_mut().enumerate() {
        *byte = u8::try_from(index * 31 % 251).unwrap();
    }
    std::fs::write(scratch.path("a-large"), &content).unwrap();
    std::fs::write(scratch.path("b-exact"), &content[..2 << 20]).unwrap();
    scratch.dir("many");
    for index in 0..3000 {
        std::fs::write(scratch.path(&format!("many/{index}")), &content[..index]).unwrap();
    }
    let tar = tar_of(&scratch);
    let fd = scratch.fd();
    let mut out = Vec::new();
    let sealed = seal(fd.as_fd(), flavour(), OwnTimes::KeepAll, &Known::default(), Some(&mut out)).unwrap();
    assert!(out == tar);
    let identity = identity(fd.as_fd(), flavour(), OwnTimes::KeepAll).unwrap();
    assert_eq!(sealed.identity, identity);
    assert_eq!(sealed.entries, 3003);
    // It is the same where some contents are known, and that those are not read shows where they are wrong.
    let mut known = KnownContents::new();
    known.insert(b"a-large".to_vec(), *blake3::hash(&content).as_bytes());
    known
        .extend((0..2000).map(|index| {
            (format!("many/{index}").into_bytes(), *blake3::hash(&content[..index]).as_bytes())
        }));
    let known_to = |contents: &KnownContents| Known { contents: contents.clone(), ..Known::default() };
    let knowing =
        |known: &KnownContents| identify(fd.as_fd(), flavour(), OwnTimes::KeepAll, &known_to(known)).unwrap();
    let nothing = KnownContents::new();
    assert_eq!(knowing(&known).identity, identity);
    assert_eq!(knowing(&known).bytes, knowing(&nothing).bytes);
    let again = seal(fd.as_fd(), flavour(), OwnTimes::KeepAll, &known_to(&known), None).unwrap();
    assert_eq!(again, sealed);
    assert_eq!(listed_tar(fd.as_fd(), &knowing(&known).listing).unwrap(), sealed.tar);
    let mut unhashed = Vec::new();
    assert_eq!(write_known_tar(fd.as_fd(), flavour(), &mut unhashed).unwrap(), sealed.tar.size);
    assert!(unhashed == tar);
    known.insert(b"b-exact".to_vec(), [7; 32]);
    assert_ne!(knowing(&known).identity, identity);
    let copy = Scratch::new();
    let unpacked = copy.unpack(&tar).unwrap();
    assert_eq!(unpacked.entries, 3003);
    assert!(tar_of(&copy) == tar);
    // BLAKE3 of the slices is that of the whole.
    let small = crate::layer::content::tests_hash(fd.as_fd(), b"a-large");
    assert_eq!(small, blake3::hash(&content));
}

/// Pins the format: a change of these bytes loses every store's layers and needs a new version tag.
#[test]
fn the_identity_is_pinned() {
    if skip_unless_root("the_identity_is_pinned") {
        return;
    }
    let scratch = Scratch::new();
    scratch
        .dir("d")
        .file("d/f", "hi\n")
        .hard("d/g", "d/f")
        .link("l", "d/f")
        .whiteout("gone")
        .time("d", 1_000_000_000);
    let id = identity(scratch.fd().as_fd(), flavour(), OwnTimes::KeepAll).unwrap();
    assert_eq!(id, by_hand(), "the code no longer follows the format it documents");
    assert_eq!(id.to_string(), "d0ee027f315b5456db1b192a5851a5cf9aa7d6bc5f7bc677b04c1572f1f77e1d");
}

/// The format as the module `identity` describes it.
fn by_hand() -> crate::digest::LayerId {
    let mut bytes = b"rbuild layer 2\n".to_vec();
    let mut entry = |path: &[u8], kind: u8, mode: u32, secs: i64, own: &[u8]| {
        bytes.extend(u32::try_from(path.len()).unwrap().to_le_bytes());
        bytes.extend(path);
        bytes.push(kind);
        bytes.extend([mode.to_le_bytes(), [0; 4], [0; 4]].concat());
        bytes.push(1);
        bytes.extend(secs.to_le_bytes());
        bytes.extend(own);
        bytes.push(0);
    };
    let secs = 1_000_000_000;
    let file = [&3u64.to_le_bytes()[..], blake3::hash(b"hi\n").as_bytes()].concat();
    let link = [&3u32.to_le_bytes()[..], b"d/f"].concat();
    entry(b"d", b'd', 0o755, secs, &[0]);
    entry(b"d/f", b'f', 0o644, secs, &file);
    entry(b"d/g", b'h', 0o644, secs, &link);
    entry(b"gone", b'w', 0, 0, b"");
    entry(b"l", b'l', 0o777, secs, &link);
    crate::digest::LayerId(*blake3::hash(&bytes).as_bytes())
}

#[test]
fn own_times_do_not_count() {
    let (a, b) = (Scratch::new(), Scratch::new());
    a.file("old", "x").file("new", "y").time("new", 2_000);
    b.file("old", "x").file("new", "y").time("new", 3_000);
    a.time("old", 500);
    b.time("old", 500);
    let id = |scratch: &Scratch, times| identity(scratch.fd().as_fd(), flavour(), times).unwrap();
    let since = |secs| OwnTimes::IgnoreSince(Timestamp::new(secs, 0));
    assert_ne!(id(&a, OwnTimes::KeepAll), id(&b, OwnTimes::KeepAll));
    assert_eq!(id(&a, OwnTimes::IgnoreAll), id(&b, OwnTimes::IgnoreAll));
    assert_eq!(id(&a, since(1_000)), id(&b, since(1_000)));
    assert_ne!(id(&a, since(2_500)), id(&b, since(2_500)));
    b.time("old", 501);
    assert_ne!(id(&a, since(1_000)), id(&b, since(1_000)));
}

#[test]
fn every_field_is_part_of_the_identity() {
    let id = |change: &dyn Fn(&Scratch)| {
        let scratch = Scratch::new();
        scratch.dir("d").file("d/f", "one").file("d/g", "one").link("l", "t").time("d", 5).time("d/f", 7);
        change(&scratch);
        scratch.time("d", 5);
        identity(scratch.fd().as_fd(), flavour(), OwnTimes::KeepAll).unwrap()
    };
    let remove = |scratch: &Scratch, name: &str| std::fs::remove_file(scratch.path(name)).unwrap();
    let mut ids = vec![
        id(&|_| {}),
        id(&|s| {
            s.file("d/f", "two").time("d/f", 7);
        }),
        id(&|s| {
            s.mode("d/f", 0o600);
        }),
        id(&|s| {
            s.mode("d", 0o700);
        }),
        id(&|s| {
            s.time("d/f", 8);
        }),
        id(&|s| {
            s.opaque("d");
        }),
        id(&|s| {
            remove(s, "d/g");
            s.hard("d/g", "d/f");
        }),
        id(&|s| {
            remove(s, "l");
            s.link("l", "u");
        }),
        id(&|s| std::fs::rename(s.path("d/g"), s.path("d/h")).unwrap()),
    ];
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn sparse_files_of_gnu_tar_are_read() {
    let scratch = Scratch::new();
    let file = std::fs::File::create(scratch.path("s")).unwrap();
    file.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 500_000).unwrap();
    let dir = scratch.0.path().to_str().unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=1.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=0.0"],
    ] {
        let arguments = [&["-C", dir, "--sparse", "-cf", "-"], format, &["s"]].concat();
        let Some(tar) =
            Command::new("tar").args(&arguments).output().ok().filter(|output| output.status.success())
        else {
            return println!("SKIP: no GNU tar");
        };
        assert!(tar.stdout.len() < 100_000, "the archive is not sparse");
        let out = Scratch::new();
        out.unpack(&tar.stdout).unwrap();
        assert!(
            std::fs::read(out.path("s")).unwrap() == std::fs::read(scratch.path("s")).unwrap(),
            "{format:?}"
        );
    }
}

#[test]
fn whiteouts_become_what_overlayfs_knows() {
    if skip_unless_root("whiteouts_become_what_overlayfs_knows") {
        return;
    }
    let cases = [
        (Archive::new().file(".wh.a", "").file("d/.wh.b", ""), vec!["a gone", "d/", "d/b gone"]),
        (Archive::new().dir("d").file("d/.wh..wh..opq", "").file("d/x", ""), vec!["d/ opaque", "d/x 0"]),
        (Archive::new().file("d/x", "").file("d/.wh..wh..opq", ""), vec!["d/ opaque", "d/x 0"]),
        (Archive::new().file("a", "1").file(".wh.a", ""), vec!["a 1"]),
        (Archive::new().file(".wh.a", "").file("a", "1"), vec!["a 1"]),
        (Archive::new().file(".wh.d", "").dir("d").file("d/x", ""), vec!["d/ opaque", "d/x 0"]),
        (Archive::new().dir("d").file("d/x", "").file(".wh.d", ""), vec!["d/ opaque", "d/x 0"]),
        (Archive::new().dir(".wh..wh.plnk").file(".wh..wh.aufs", ""), vec![]),
    ];
    for (archive, expected) in cases {
        let scratch = Scratch::new();
        scratch.unpack(&archive.bytes()).unwrap();
        assert_eq!(scratch.list(), expected);
        // And back: our own tar says the same.
        let again = Scratch::new();
        again.unpack(&tar_of(&scratch)).unwrap();
        assert_eq!(again.list(), expected);
    }
}
