//! Archives that are cut off, lie, or climb out: a sentence, an exit code, and a store as it was.

use crate::support::Sandbox;
use crate::support::sandbox::BUSYBOX;

/// Loads `archive`, which must fail with that word, and checks that the store has not changed.
fn refused(archive: &[u8], says: &str) {
    let sandbox = Sandbox::new();
    // Makes the store. It stays empty: a layer that is known already would not be read.
    sandbox.rbuild(&["images"]).succeeded();
    let before = sandbox.store_listing();
    sandbox.rbuild_with_input(&["load"], archive).ended_with(1).saying(says);
    assert_eq!(sandbox.store_listing(), before, "{says}");
}

#[test]
fn cut_off_or_no_archive_at_all() {
    let whole = std::fs::read(BUSYBOX).expect("the fixture");
    refused(&whole[..whole.len() / 2], "ERROR:");
    refused(&whole[..700], "ERROR:");
    refused(b"this is no archive", "ERROR:");
    refused("no archive\neither\n".repeat(99).as_bytes(), "unrecognized image format");
    refused(b"", "ERROR:");
}

#[test]
fn a_digest_that_lies() {
    let mut archive = std::fs::read(BUSYBOX).expect("the fixture");
    // A byte in the middle of the first layer's only file.
    let middle = archive.len() / 2;
    archive[middle] ^= 0xff;
    refused(&archive, "sha256:");
}

/// An archive of files whose second entry goes through what the first one made.
fn climbing(first: impl FnOnce(&mut tar::Builder<Vec<u8>>), path: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    first(&mut tar);
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o644);
    let name = header.as_ustar_mut().expect("ustar").name.first_chunk_mut::<64>().expect("100 bytes");
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    tar.append(&header, &b"evil"[..]).expect("an entry");
    tar.into_inner().expect("an archive")
}

fn link(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, target: &str) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o777);
    tar.append_link(&mut header, name, target).expect("a link");
}

#[test]
fn nothing_climbs_out() {
    let sandbox = Sandbox::new();
    let victim = sandbox.write("victim", "good");
    let outside = sandbox.work();
    let outside = outside.to_str().expect("text");
    let archives = [
        climbing(|_| {}, "../../../../victim"),
        climbing(|_| {}, "a/../../../../victim"),
        climbing(|_| {}, &format!("{outside}/victim")),
        climbing(|t| link(t, tar::EntryType::Symlink, "out", outside), "out/victim"),
        climbing(|t| link(t, tar::EntryType::Symlink, "out", "../../../../../work"), "out/victim"),
        climbing(|t| link(t, tar::EntryType::Link, "hard", &format!("{outside}/victim")), "hard"),
        climbing(|t| link(t, tar::EntryType::Link, "hard", "../../../../work/victim"), "hard"),
    ];
    for (number, archive) in archives.iter().enumerate() {
        // Refused, or kept inside: either is right. Only never outside.
        let outcome = sandbox.rbuild_with_input(&["import", "-", "evil"], archive);
        assert!(outcome.code == 0 || outcome.code == 1, "archive {number}: {outcome}");
        assert_eq!(std::fs::read(&victim).expect("it is still there"), b"good", "archive {number}");
    }
}
