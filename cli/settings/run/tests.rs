use clap::Parser;

use super::*;
use crate::args::{Cli, Command};

fn settings(typed: &[&str], variables: &[(&str, &str)]) -> Result<RunSettings, Failure> {
    let cli = Cli::try_parse_from(["rbuild", "run"].iter().chain(typed)).expect("the parser takes it");
    let Command::Run(args) = cli.command else { unreachable!("run was typed") };
    RunSettings::new(*args, &Environment::of(variables), Path::new("/here"))
}

#[test]
fn everything_after_the_image_is_the_programs() {
    let got = settings(&["-it", "--rm", "busybox", "ls", "-l", "--rm", "-h"], &[]).expect("good");
    let RunSettings { image, container, .. } = got;
    assert_eq!(
        (image.as_str(), container.tty, container.interactive, container.remove),
        ("busybox", true, true, true)
    );
    assert_eq!(container.command, ["ls", "-l", "--rm", "-h"]);
    let got = settings(&["busybox", "--", "-x"], &[]).expect("good");
    assert_eq!(got.container.command, ["--", "-x"]);
}

#[test]
fn environment() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("env");
    std::fs::write(&file, "# comment\nA=from file\n\n  B=\nUSER\nNOT_SET\nC=x=y\n").expect("a file");
    let path = file.to_str().expect("text");
    let got =
        settings(&["--env-file", path, "-e", "A=flag", "-e", "USER", "x"], &[("USER", "me")]).expect("good");
    let want = [("A", "from file"), ("B", ""), ("USER", "me"), ("C", "x=y"), ("A", "flag"), ("USER", "me")];
    assert_eq!(got.container.env, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
    std::fs::write(&file, "A B=1\n").expect("a file");
    let error = settings(&["--env-file", path, "x"], &[]).expect_err("a blank in the name");
    assert!(error.message.is_some_and(|m| m.contains("env:1: invalid variable name \"A B\"")));
}

#[test]
fn entrypoints() {
    let of = |typed: &[&str]| settings(typed, &[]).expect("good").container.entrypoint;
    assert_eq!(of(&["x"]), None);
    assert_eq!(of(&["--entrypoint", "", "x"]), Some(vec![]));
    assert_eq!(of(&["--entrypoint", "sh", "x"]), Some(vec!["sh".to_owned()]));
}

#[test]
fn volumes() {
    let host = |path: &str| VolumeSource::Host(path.into());
    let named = |name: &str| VolumeSource::Named(name.into());
    for (text, want) in [
        ("/a:/b", Some((host("/a"), "/b", false))),
        ("/a:/b:ro", Some((host("/a"), "/b", true))),
        ("./a:/b:rw,z", Some((host("/here/./a"), "/b", false))),
        ("a:/b", Some((named("a"), "/b", false))),
        ("/b", Some((VolumeSource::Anonymous, "/b", false))),
        ("b", None),
        (":/b", None),
        ("/a:b", None),
        ("/a:/", None),
        ("/a:/b:rox", None),
        ("/a:/b:ro:x", None),
    ] {
        let got = volume(text, Path::new("/here")).ok();
        let want =
            want.map(|(source, target, readonly)| Volume { source, target: target.to_owned(), readonly });
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn tmpfs_options() {
    let want = Tmpfs { target: "/t".into(), size: Some(1 << 20), mode: Some(0o700), readonly: true };
    assert_eq!(tmpfs("/t:size=1m,mode=0700,ro,nosuid").expect("good"), want);
}

#[test]
fn values_that_make_no_sense_are_usage_errors() {
    for typed in [
        &["--network", "bridge", "x"][..],
        &["-w", "rel", "x"],
        &["--shm-size", "much", "x"],
        &["--tmpfs", "tmp", "x"],
        &["--tmpfs", "/t:uid=5", "x"],
        &["--tmpfs", "/t:mode=9", "x"],
        &["--security-opt", "seccomp=unconfined", "x"],
        &["-e", "=x", "x"],
    ] {
        assert_eq!(settings(typed, &[]).map(|_| ()).expect_err("a mistake").code, USAGE, "{typed:?}");
    }
}
