//! ADD of archives: rows 98 to 103 of the spec's catalogue.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rbuild_parser::plan::Copy;
use tar::{EntryType, Header};

use super::ground::{Ground, TIME, add, copy, is_root, list, make, open, tidy};
use crate::copy::unpack_stream;

/// `d/f` with `hello` in it, by xz: the decoder that we use cannot write.
const XZ: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21, 0x01, 0x10,
    0x00, 0x00, 0x00, 0xa8, 0x70, 0x8e, 0x86, 0xe0, 0x07, 0xff, 0x00, 0x49, 0x5d, 0x00, 0x32, 0x0b, 0xc8,
    0xc0, 0x0e, 0x50, 0x27, 0x08, 0xfc, 0xe7, 0x00, 0xa3, 0xaf, 0xd2, 0x00, 0xd5, 0xb3, 0x88, 0xbd, 0xb0,
    0x25, 0x21, 0x6f, 0x8c, 0x4c, 0x13, 0x15, 0xb9, 0xd4, 0x47, 0x01, 0xe6, 0x9a, 0xe2, 0x18, 0x44, 0x8b,
    0xd6, 0x05, 0x1c, 0x60, 0xd3, 0x3a, 0xd6, 0x66, 0x9f, 0xc2, 0xd3, 0x45, 0x0d, 0x33, 0xe4, 0x4c, 0xe9,
    0xf6, 0x5c, 0xf8, 0x1f, 0x82, 0x8f, 0x1b, 0x84, 0x13, 0x55, 0x36, 0x9c, 0x05, 0xe0, 0xb8, 0xd6, 0xa7,
    0x4d, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xda, 0x6a, 0x05, 0x00, 0x01, 0x61, 0x80, 0x10, 0x00, 0x00,
    0x00, 0x2f, 0xef, 0x02, 0xe1, 0x3e, 0x30, 0x0d, 0x8b, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
];

/// Entries: name, type, text or target, mode, owner.
type Entry<'a> = (&'a str, EntryType, &'a str, u32, u32);

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const LINK: EntryType = EntryType::Link;

fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for &(name, kind, text, mode, owner) in entries {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner.into());
        header.set_gid(owner.into());
        header.set_mtime(TIME.try_into().unwrap());
        let is_file = kind == FILE;
        header.set_size(if is_file { text.len() as u64 } else { 0 });
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name_literal(text).unwrap();
        }
        header.set_cksum();
        builder.append(&header, if is_file { text.as_bytes() } else { b"" }).unwrap();
    }
    builder.into_inner().unwrap()
}

fn write(ground: &Ground, name: &str, bytes: &[u8]) {
    std::fs::write(ground.context().join(name), bytes).unwrap();
}

fn unpacked(entries: &[Entry<'_>], dest: &str, instruction: &Copy) -> String {
    let mut ground = Ground::new();
    write(&ground, "a.tar", &tar_of(entries));
    if !dest.is_empty() {
        ground.layer(dest);
    }
    ground.tree(instruction)
}

#[test]
fn all_compressions_by_content() {
    let plain = tar_of(&[("d/f", FILE, "hello", 0o640, 0)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    let all = [plain, gzip.finish().unwrap(), bzip2.finish().unwrap(), XZ.to_vec(), zstd];
    for (index, bytes) in all.iter().enumerate() {
        let mut ground = Ground::new();
        write(&ground, "some.txt", bytes);
        let want = tidy(
            "o/ 755
            o/d/ 755
            o/d/f=hello 640 @",
        );
        assert_eq!(ground.tree(&add(&["/some.txt"], "/o")), want, "compression {index}");
        let kept = Copy { unpack: Some(false), ..add(&["/some.txt"], "/o") };
        let upper = ground.run(&kept).unwrap();
        assert_eq!(&std::fs::read(upper.join("o")).unwrap(), bytes);
        let upper = ground.run(&copy(&["/some.txt"], "/o")).unwrap();
        assert_eq!(&std::fs::read(upper.join("o")).unwrap(), bytes);
    }
}

#[test]
fn what_is_no_archive_is_copied() {
    let mut ground = Ground::new();
    make(&ground.context(), "empty.tar= 644\ntext.tar.gz=hello 644");
    write(&ground, "zeros.tar", &[0; 1024]);
    assert_eq!(
        ground.tree(&add(&["/empty.tar", "/text.tar.gz"], "/o/")),
        tidy(
            "o/ 755
        o/empty.tar= 644 @
        o/text.tar.gz=hello 644 @"
        )
    );
    assert!(ground.run(&add(&["/zeros.tar"], "/")).unwrap().join("zeros.tar").is_file());
}

#[test]
fn numbers_that_a_writer_left_out_are_zero() {
    let mut tar = tar_of(&[("f", FILE, "x", 0o644, 7)]);
    // Mode, owner, group and time of the header, and then its checksum.
    tar[100..124].fill(0);
    tar[136..148].fill(b' ');
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut ground = Ground::new();
    write(&ground, "a.tar", &tar);
    let out = ground.run(&add(&["/a.tar"], "/")).unwrap();
    let file = out.join("f").metadata().unwrap();
    assert_eq!((file.mode() & 0o7777, file.mtime()), (0, 0));
    if is_root() {
        assert_eq!((file.uid(), file.gid()), (0, 0));
    }
}

#[test]
fn entries_replace_and_merge() {
    let entries = [
        ("was-dir", FILE, "f", 0o644, 0),
        ("was-file/", DIR, "", 0o711, 0),
        ("was-link/", DIR, "", 0o700, 0),
        ("dir/", DIR, "", 0o750, 0),
        ("dir/new", FILE, "n", 0o4755, 0),
        ("./", DIR, "", 0o777, 0),
    ];
    let dest = "d/was-dir/inside/x=1\nd/was-file=f\nd/dir/kept=k\nelsewhere/e=e\nd/was-link -> /elsewhere";
    assert_eq!(
        unpacked(&entries, dest, &add(&["/a.tar"], "/d")),
        tidy(
            "d/ 755
        d/dir/ 750 @
        d/dir/new=n 4755 @
        d/was-dir=f 644 @
        d/was-file/ 711 @
        d/was-link/ 700 @"
        )
    );
    let twice = [("x", FILE, "1", 0o644, 0), ("x/", DIR, "", 0o755, 0), ("x/new", FILE, "2", 0o644, 0)];
    assert_eq!(
        unpacked(&twice, "x/old=1\nx/sub/deep=2", &add(&["/a.tar"], "/")),
        tidy(
            "x/ 755 @
        x/new=2 644 @
        x/old gone
        x/sub gone"
        )
    );
}

#[test]
fn nothing_leaves_the_destination() {
    let entries = [
        ("../escape", FILE, "e", 0o644, 0),
        ("/abs", FILE, "a", 0o644, 0),
        ("x/../../dots", FILE, "d", 0o644, 0),
        ("lnk", SYMLINK, "../../etc/passwd", 0o777, 0),
        ("inner/", DIR, "", 0o755, 0),
        ("inner/l", SYMLINK, "..", 0o777, 0),
        ("inner/l/up", FILE, "u", 0o644, 0),
        ("out/through", FILE, "t", 0o644, 0),
    ];
    let dest = "dest/\ndest/out -> /tmp";
    assert_eq!(
        unpacked(&entries, dest, &add(&["/a.tar"], "/dest/")),
        tidy(
            "dest/ 755
        dest/abs=a 644 @
        dest/dots=d 644 @
        dest/escape=e 644 @
        dest/inner/ 755 @
        dest/inner/l -> ..
        dest/lnk -> ../../etc/passwd
        dest/tmp/ 755
        dest/tmp/through=t 644 @
        dest/up=u 644 @"
        )
    );
    let through =
        [("var/run/act/f", FILE, "1", 0o644, 0), ("var/run/act/g", LINK, "var/run/act/f", 0o600, 0)];
    assert_eq!(
        unpacked(&through, "run/\nvar/run -> /run", &add(&["/a.tar"], "/")),
        tidy(
            "run/ 755
        run/act/ 755
        run/act/f=1 600 @
        run/act/g=1 600 @"
        )
    );
}

#[test]
fn owners_of_entries() {
    if !is_root() {
        return;
    }
    let entries = [("i/f", FILE, "1", 0o644, 7)];
    assert_eq!(
        unpacked(&entries, "", &add(&["/a.tar"], "/o/")),
        tidy(
            "o/ 755
        o/i/ 755
        o/i/f=1 644 7:7 @"
        )
    );
    let chown = Copy { chown: Some("100:200".into()), ..add(&["/a.tar"], "/o/") };
    assert_eq!(
        unpacked(&entries, "", &chown),
        tidy(
            "o/ 755 100:200
        o/i/ 755
        o/i/f=1 644 100:200 @"
        )
    );
}

#[test]
fn damaged_archives_are_errors() {
    let mut ground = Ground::new();
    let bytes = tar_of(&[("f", FILE, &"x".repeat(4000), 0o644, 0)]);
    write(&ground, "cut.tar", &bytes[..1024]);
    let text = ground.tree(&add(&["/cut.tar"], "/"));
    assert!(text.starts_with("error: failed to"), "{text}");
}

#[test]
fn a_context_on_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = tar_of(&[("Dockerfile", FILE, "FROM x", 0o644, 0), ("d/", DIR, "", 0o755, 0)]);
    let zipped = zstd::encode_all(bytes.as_slice(), 1).unwrap();
    unpack_stream(zipped.as_slice(), std::os::fd::AsFd::as_fd(&open(dir.path()))).unwrap();
    assert_eq!(
        list(Path::new(dir.path())),
        tidy(
            "Dockerfile=FROM x 644 @
        d/ 755 @"
        )
    );
    let empty = tempfile::tempdir().unwrap();
    let error = unpack_stream(&b"no tar"[..], std::os::fd::AsFd::as_fd(&open(empty.path()))).unwrap_err();
    assert_eq!(error.to_string(), "failed to unpack -: not a tar archive");
}
