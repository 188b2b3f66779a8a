//! WORKDIR: spec 3.8.

use std::os::fd::AsFd;

use rbuild_parser::plan::Workdir;

use super::ground::{Ground, TIME, is_root, list, open, tidy};
use crate::copy::make_workdir;

fn made(dest: &str, path: &str, user: &str, epoch: Option<i64>) -> String {
    let mut ground = Ground::new();
    if !dest.is_empty() {
        ground.layer(dest);
    }
    let upper = tempfile::tempdir().unwrap();
    let workdir = Workdir { path: path.to_owned(), user: user.to_owned(), epoch };
    match make_workdir(
        &workdir,
        &ground.view(),
        open(upper.path()).as_fd(),
        rbuild_image::layer::Owners::Inode,
    ) {
        Ok(()) => list(upper.path()),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn makes_what_is_missing() {
    assert_eq!(
        made("", "/a/b", "", None),
        tidy(
            "a/ 755
        a/b/ 755"
        )
    );
    assert_eq!(made("", "/a", "", Some(TIME)), "a/ 755 @");
    assert_eq!(made("usr/src/", "/usr/src", "", None), "", "what exists leaves no trace");
    assert_eq!(
        made("real/\nln -> real", "/ln/x", "", None),
        tidy(
            "real/ 755
        real/x/ 755"
        )
    );
    assert_eq!(made("f=1", "/f/x", "", None), "error: mkdir /f: not a directory");
    assert_eq!(made("", "/a", "someone", None), "error: invalid user index: -1");
}

#[test]
fn belongs_to_the_user() {
    if !is_root() {
        return;
    }
    let dest = "etc/passwd=u:x:5:6::/:\nhave/";
    assert_eq!(
        made(dest, "/have/a/b", "u", None),
        tidy(
            "have/ 755
        have/a/ 755 5:6
        have/a/b/ 755 5:6"
        )
    );
    assert_eq!(made(dest, "/n", "1234", None), "n/ 755 1234:1234");
}
