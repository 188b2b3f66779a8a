//! Archives that want out, contradict themselves, or are cut off.

use std::fs;

use super::support::{Archive, Scratch, is_root};

fn refused(tar: &[u8]) -> String {
    let scratch = Scratch::new();
    scratch.dir("layer").file("outside", "safe");
    let layer =
        rustix::fs::openat(scratch.fd(), "layer", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
            .unwrap();
    let result = crate::layer::unpack(tar, std::os::fd::AsFd::as_fd(&layer), super::support::flavour());
    assert_eq!(fs::read(scratch.path("outside")).unwrap(), b"safe");
    assert_eq!(fs::read_dir(scratch.0.path()).unwrap().count(), 2, "something was made outside");
    result.unwrap_err().to_string()
}

#[test]
fn nothing_leads_out_of_the_layer() {
    let cases = [
        (Archive::new().file("../outside", "bad"), "leads out of the layer"),
        (Archive::new().file("a/../../outside", "bad"), "leads out of the layer"),
        (Archive::new().symlink("up", "..").file("up/outside", "bad"), "up, which is not a directory"),
        (Archive::new().symlink("up", "/").file("up/tmp/x", "bad"), "leads through up"),
        (Archive::new().dir("d").symlink("d/l", "../..").file("d/l/outside", "bad"), "d/l, which is not"),
        (Archive::new().hard("mine", "../outside"), "leads out of the layer"),
        (Archive::new().symlink("up", "..").hard("mine", "up/outside"), "is not there"),
        (Archive::new().hard("mine", "nothing"), "is not there"),
        (Archive::new().file("f", "x").file("f/g", "y"), "leads through f"),
        (Archive::new().symlink("l", "../outside").hard("h", "l").file("h/x", ""), "leads through h"),
        (Archive::new().file(".wh...", ""), "whiteout of no file"),
        (Archive::new().file("a/.wh.", ""), "whiteout of no file"),
    ];
    for (archive, expected) in cases {
        let error = refused(&archive.bytes());
        assert!(error.contains(expected), "{error} does not say {expected:?}");
    }
}

#[test]
fn absolute_names_stay_inside() {
    let scratch = Scratch::new();
    scratch.unpack(&Archive::new().dir("/etc").file("/etc/passwd", "mine").file("./x", "").bytes()).unwrap();
    assert_eq!(scratch.list(), ["etc/", "etc/passwd 4", "x 0"]);
}

#[test]
fn a_link_is_replaced_and_not_written_through() {
    let scratch = Scratch::new();
    scratch.unpack(&Archive::new().file("f", "old").symlink("l", "f").file("l", "new").bytes()).unwrap();
    assert_eq!(scratch.list(), ["f 3", "l 3"]);
    assert_eq!(fs::read(scratch.path("f")).unwrap(), b"old");
}

#[test]
fn of_what_comes_twice_the_last_one_stays() {
    let cases = [
        (Archive::new().file("f", "one").file("f", "three"), vec!["f 5"]),
        (Archive::new().dir("d").file("d/x", "").dir("d"), vec!["d/", "d/x 0"]),
        (Archive::new().dir("d").file("d/x", "").file("d", "now"), vec!["d 3"]),
        (Archive::new().file("d", "f").dir("d").file("d/x", ""), vec!["d/", "d/x 0"]),
        (Archive::new().dir("d").file("d/x", "").symlink("d", "t"), vec!["d -> t"]),
        (Archive::new().file("a", "1").hard("b", "a").hard("b", "a"), vec!["a 1", "b = a"]),
        (Archive::new().file("a", "1").hard("a", "a"), vec!["a 1"]),
    ];
    for (archive, expected) in cases {
        let scratch = Scratch::new();
        scratch.unpack(&archive.bytes()).unwrap();
        assert_eq!(scratch.list(), expected);
    }
}

#[test]
fn an_archive_that_is_cut_off_says_so() {
    let whole = Archive::new().dir("d").file("d/f", &"x".repeat(2000)).bytes();
    for (length, expected) in
        [(100, "in a header"), (700, "in a header"), (512, ""), (1500, "in a file"), (3000, "in a file")]
    {
        let scratch = Scratch::new();
        match scratch.unpack(&whole[..length]) {
            Ok(_) => assert_eq!(expected, "", "{length} bytes were enough"),
            Err(error) => {
                assert!(!expected.is_empty() && error.to_string().contains(expected), "{length}: {error}");
            }
        }
    }
}

#[test]
fn damaged_headers_are_errors() {
    let good = Archive::new().file("f", "x").bytes();
    let mut sum = good;
    sum[0] = b'g';
    assert!(refused(&sum).contains("wrong checksum"));
    let huge = Archive::new().add(tar::EntryType::XHeader, "x", "", &vec![b'1'; 2 << 20]).bytes();
    assert!(refused(&huge).contains("extension header of 2097152 bytes"));
    for record in [&b"99 path=x\n"[..], b"nonsense", b"12 path=xy\n", b"-1 path=x\n", b"0 a=b\n", b"7 path\n"]
    {
        let bad = Archive::new().add(tar::EntryType::XHeader, "x", "", record).file("f", "");
        let error = refused(&bad.bytes());
        assert!(error.contains("damaged"), "{}: {error}", String::from_utf8_lossy(record));
    }
    let endless = (0..20)
        .fold(Archive::new(), |archive, _| archive.add(tar::EntryType::XHeader, "x", "", b"8 a=bcd\n"));
    assert!(refused(&endless.bytes()).contains("more than 16"));
}

#[test]
fn trees_deeper_than_any_path_are_refused_and_removed() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    let deep = vec!["d".repeat(200); 90].join("/");
    header.set_size(0);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, &deep, &b""[..]).unwrap();
    assert!(refused(&archive.into_inner().unwrap()).contains("is deeper than"));

    // Below the limit of a layer and far above the kernel's for one path.
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    header.set_uid(rustix::process::geteuid().as_raw().into());
    header.set_gid(rustix::process::getegid().as_raw().into());
    let deep = vec!["d".repeat(100); 120].join("/");
    if !is_root() {
        println!("SKIP the deep tree: its parents would belong to root");
        return;
    }
    archive.append_data(&mut header, &deep, &b"hi"[..]).unwrap();
    let scratch = Scratch::new();
    scratch.unpack(&archive.into_inner().unwrap()).unwrap();
    assert_eq!(scratch.entries().len(), 120);
    assert!(scratch.entries()[119].path == deep.as_bytes());
    crate::layer::remove_tree(std::os::fd::AsFd::as_fd(&scratch.fd()), "d".repeat(100).as_str()).unwrap();
    assert_eq!(scratch.list(), Vec::<String>::new());
}
