//! What changes the digest of a selection, and what does not (spec 7.3).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rbuild_image::layer::Flavour;
use rbuild_image::store::Store;
use rbuild_parser::plan::Copy;

use super::ground::{Ground, copy, make, octal};
use crate::context::HashCache;
use crate::copy::{NoNetwork, apply, select};

#[test]
fn content_mode_and_names_count_and_times_do_not() {
    let mut ground = Ground::new();
    make(&ground.context(), "d/a=1 644\nd/b=2 644\nother=x 644");
    let whole = copy(&["/d"], "/x");
    let first = ground.digest(&whole);
    assert_eq!(first.records.len(), 3, "the directory and two files");
    assert_eq!(ground.digest(&whole), first);
    let a = ground.context().join("d/a");
    fs::File::open(&a).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(ground.digest(&whole).digest, first.digest, "touched");
    fs::write(ground.context().join("other"), "y").unwrap();
    assert_eq!(ground.digest(&whole).digest, first.digest, "not selected");
    fs::set_permissions(&a, fs::Permissions::from_mode(0o600)).unwrap();
    let second = ground.digest(&whole);
    assert_ne!(second.digest, first.digest, "mode");
    assert_eq!(
        ground.digest(&Copy { chmod: octal(0o600), ..copy(&["/d/a"], "/x") }).digest,
        ground.digest(&copy(&["/d/a"], "/x")).digest,
        "the mode after --chmod"
    );
    fs::write(&a, "3").unwrap();
    let third = ground.digest(&whole);
    assert_ne!(third.digest, second.digest, "content of the same size");
    fs::rename(&a, ground.context().join("d/c")).unwrap();
    assert_ne!(ground.digest(&whole).digest, third.digest, "name");
    ground.layers.clear();
}

#[test]
fn a_warm_digest_reads_nothing_but_sees_every_change() {
    let mut ground = Ground::new();
    make(&ground.context(), "a=1 644\nb=2 644");
    std::thread::sleep(Duration::from_millis(40));
    let store = Store::open(&ground.context().with_file_name("store"), Flavour::User).unwrap();
    ground.hashes = HashCache::load(&store);
    let all = copy(&["/"], "/");
    let first = ground.digest(&all);
    ground.hashes.save().unwrap();
    assert!(fs::metadata(store.path().join("files")).unwrap().len() > 2 * 93);
    ground.hashes = HashCache::load(&store);
    assert_eq!(ground.digest(&all), first);
    ground.hashes.save().unwrap();
    // The same size and time: only the change time tells.
    let a = ground.context().join("a");
    let time = fs::metadata(&a).unwrap().modified().unwrap();
    fs::write(&a, "9").unwrap();
    fs::File::options().write(true).open(&a).unwrap().set_modified(time).unwrap();
    assert_ne!(ground.digest(&all).digest, first.digest);
}

#[test]
fn a_file_that_changes_after_its_selection_is_an_error() {
    let ground = Ground::new();
    make(&ground.context(), "a=1 644");
    let (source, view) = (ground.source(), ground.view());
    let selection = select(&copy(&["/a"], "/"), &source, &view, &NoNetwork).unwrap();
    fs::write(ground.context().join("a"), "12").unwrap();
    let upper = tempfile::tempdir().unwrap();
    let into = super::ground::open(upper.path());
    let flavour = rbuild_image::layer::Flavour::Trusted;
    let error = apply(
        &selection,
        &view,
        std::os::fd::AsFd::as_fd(&into),
        flavour.owners(),
        crate::copy::Links::Layer(None),
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "/a changed while it was being read");
}
