//! Files that come from elsewhere: contexts on standard input, from servers and repositories, and what ADD fetches.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha384, Sha512};

use crate::support::Sandbox;
use crate::support::archive::{Image, Kind};
use crate::support::repository::{Repository, TIME};
use crate::support::web::{Answer, Web};

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_136_239_445);
        header.set_cksum();
        tar.append_data(&mut header, name, text.as_bytes()).expect("an entry");
    }
    tar.into_inner().expect("an archive")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[track_caller]
fn saved(sandbox: &Sandbox, name: &str) -> Image {
    Image::only(&sandbox.rbuild(&["save", name]).succeeded().bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn contexts_that_are_archives() {
    let sandbox = Sandbox::new();
    let plain = tar(&[
        ("Dockerfile", "FROM scratch\nCOPY . /\n"),
        ("other/My.df", "FROM scratch\nCOPY a /other\n"),
        ("a", "A"),
        ("b", "B"),
        (".dockerignore", "b\n"),
    ]);
    for (name, archive) in [("plain", plain.clone()), ("gz", gzip(&plain))] {
        sandbox.rbuild_with_input(&["build", "-t", name, "-"], &archive).succeeded();
        let image = saved(&sandbox, name);
        assert_eq!(image.text("a"), "A");
        assert!(!image.tree.contains_key("b"), "the ignore file of an archive counts");
        sandbox.rbuild_with_input(&["build", "-t", "my", "-f", "other/My.df", "-"], &archive).succeeded();
        assert_eq!(saved(&sandbox, "my").text("other"), "A");

        let server = Web::of(archive);
        sandbox.rbuild(&["build", "-t", "web", &server.url("context.tar")]).succeeded();
        assert_eq!(saved(&sandbox, "web").text("a"), "A");
    }
    let dockerfile = Web::of(b"FROM scratch\nLABEL from=web\n".to_vec());
    sandbox.rbuild(&["build", "-t", "label", &dockerfile.url("Dockerfile")]).succeeded();
    sandbox.rbuild(&["inspect", "-f", "{{.Config.Labels.from}}", "label"]).succeeded().printing("web\n");

    let broken = &gzip(&plain)[..60];
    sandbox.rbuild_with_input(&["build", "-"], broken).ended_with(1).saying("build context -");
    let gone = Web::start(|_, _| Answer { status: 404, ..Answer::default() });
    let gone_url = gone.url("x.tar");
    sandbox.rbuild(&["build", &gone_url]).ended_with(1).saying("404").saying(&gone_url);
}

#[test]
fn a_context_of_strangers_shows_nothing_of_this_machine() {
    let sandbox = Sandbox::new();
    let here = sandbox.write("here", "FROM scratch\nLABEL of=here\n");
    let with_link = |target: &str| {
        let mut tar = tar::Builder::new(tar(&[("own", "FROM scratch\nLABEL of=own\n")]));
        tar.get_mut().truncate(1024);
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "Dockerfile", target).expect("a link");
        tar.into_inner().expect("an archive")
    };
    let build = |target: &str| sandbox.rbuild_with_input(&["build", "-t", "x", "-"], &with_link(target));
    build(here.to_str().expect("text")).ended_with(1).saying("open Dockerfile: no such file or directory");
    build("/own").succeeded();
    sandbox.rbuild(&["inspect", "-f", "{{.Config.Labels.of}}", "x"]).succeeded().printing("own\n");
}

#[test]
fn what_is_no_dockerfile_by_its_size_is_not_read_to_its_end() {
    let sandbox = Sandbox::new();
    let comment = vec![b'#'; (16 << 20) + 1];
    for args in [&["build", "-"][..], &["build", "-f", "-", "."]] {
        sandbox.rbuild_with_input(args, &comment).ended_with(1).saying("larger than 16 MiB");
    }
    let endless = ["build", "-f", "/dev/zero", "."];
    sandbox.rbuild(&endless).ended_with(1).saying("open /dev/zero: it is larger than 16 MiB");
}

#[test]
fn a_download_comes_again_only_when_it_changed() {
    for by_etag in [true, false] {
        let sandbox = Sandbox::new();
        let version = Arc::new(AtomicU32::new(1));
        let seen = Arc::clone(&version);
        let server = Web::start(move |_, headers| {
            let version = seen.load(Ordering::SeqCst);
            let modified = format!("Mon, 02 Jan 2006 22:04:0{version} GMT");
            let (line, condition) = if by_etag {
                (format!("ETag: \"v{version}\""), format!("if-none-match: \"v{version}\""))
            } else {
                (
                    format!("Last-Modified: {modified}"),
                    format!("if-modified-since: {}", modified.to_lowercase()),
                )
            };
            let known = headers.contains(&condition);
            let body = if known { Vec::new() } else { format!("version {version}").into_bytes() };
            Answer { status: if known { 304 } else { 200 }, headers: vec![line], body }
        });
        let dockerfile = format!("FROM scratch\nADD {} /dest/\n", server.url("dir/file?x=y"));
        let build = || {
            let status =
                sandbox.build(&dockerfile, &["-t", "x", "--progress=json"]).succeeded().steps()[0].1.clone();
            (status, server.answers())
        };
        assert_eq!(build(), ("done".to_owned(), vec![200]));
        assert_eq!(build(), ("cached".to_owned(), vec![304]), "by etag: {by_etag}");
        version.store(2, Ordering::SeqCst);
        assert_eq!(build(), ("done".to_owned(), vec![200]));
        let image = saved(&sandbox, "x");
        assert_eq!(image.text("dest/file"), "version 2");
        let file = &image.tree["dest/file"];
        assert_eq!((file.mode, file.mtime), (0o600, if by_etag { 0 } else { 1_136_239_442 }));
    }
}

#[test]
fn a_download_with_a_checksum() {
    let sandbox = Sandbox::new();
    let server = Web::of(b"content".to_vec());
    let url = server.url("file");
    let right = [
        format!("sha512:{}", hex(&Sha512::digest(b"content"))),
        format!("sha384:{}", hex(&Sha384::digest(b"content"))),
        format!("sha256:{}", hex(&sha2::Sha256::digest(b"content"))),
    ];
    for checksum in &right {
        let dockerfile = format!("FROM scratch\nADD --checksum={checksum} {url} /x\n");
        sandbox.build(&dockerfile, &["-t", "x", "--no-cache"]).succeeded();
        assert_eq!(saved(&sandbox, "x").text("x"), "content");
    }
    assert_eq!(server.answers().len(), 1, "what is known by its digest is not asked for");
    let wrong = right[0].replace(|c: char| c.is_ascii_digit(), "0").replacen("sha000", "sha512", 1);
    let dockerfile = format!("FROM scratch\nADD --checksum={wrong} {url} /x\n");
    let failed = sandbox.build(&dockerfile, &[]).ended_with(1);
    failed.saying(&format!("digest mismatch {}: {wrong}", right[0]));
}

#[test]
fn repositories() {
    let Some(repository) = Repository::start() else { return };
    let sandbox = Sandbox::new();
    sandbox.rbuild(&["build", "-t", "head", &repository.url("")]).succeeded();
    let image = saved(&sandbox, "head");
    assert_eq!((image.text("all/file"), image.text("all/sub/inner")), ("two\n".into(), "inner\n".into()));
    assert!(!image.tree.contains_key("all/.git"));

    sandbox.rbuild(&["build", "-t", "sub", &repository.url("#v1:sub")]).succeeded();
    assert_eq!(saved(&sandbox, "sub").text("sub/inner"), "inner\n");
    sandbox.rbuild(&["build", "-t", "tag", &repository.url("?tag=v1")]).succeeded();
    assert_eq!(saved(&sandbox, "tag").text("all/file"), "one\n");
    let keep = ["build", "-t", "git", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", &repository.url("")];
    sandbox.rbuild(&keep).succeeded();
    assert_eq!(saved(&sandbox, "git").tree["all/.git"].kind, Kind::Dir);

    let add = |flags: &str, rest: &str| format!("FROM scratch\nADD {flags} {} /src/\n", repository.url(rest));
    sandbox.build(&add("", "#v1"), &["-t", "add"]).succeeded();
    assert_eq!(saved(&sandbox, "add").text("src/file"), "one\n");
    sandbox.build(&add("--keep-git-dir=true", "#main:sub"), &["-t", "add"]).succeeded();
    let image = saved(&sandbox, "add");
    assert_eq!(image.text("src/inner"), "inner\n");
    let cached = sandbox.build(&add("", "#v1"), &["--progress=json"]).succeeded();
    assert_eq!(cached.steps()[0].1, "cached");

    sandbox.build(&add("", "#no-such-branch"), &[]).ended_with(1).saying("no-such-branch");
    sandbox.build(&add("--checksum=0000000", ""), &[]).ended_with(1).saying("0000000");
    sandbox.rbuild(&["build", &repository.url("#:nothing")]).ended_with(1).saying("nothing");
}

#[test]
fn times_that_others_have() {
    let Some(repository) = Repository::start() else { return };
    let sandbox = Sandbox::new();
    let web = Web::start(|_, _| Answer {
        headers: vec!["Last-Modified: Mon, 02 Jan 2006 22:04:05 GMT".into()],
        body: b"x".to_vec(),
        ..Answer::default()
    });
    let created = |name: &str| {
        let image = saved(&sandbox, name);
        (image.config["created"].clone(), image.config["history"][0]["created"].clone())
    };
    let of_commit = "2001-09-09T01:46:40Z";
    assert_eq!(TIME, 1_000_000_000);
    let epoch = |value: &str| format!("SOURCE_DATE_EPOCH={value}");

    let args = ["build", "-t", "a", "--build-arg", &epoch("context"), &repository.url("")];
    sandbox.rbuild(&args).succeeded();
    assert_eq!(created("a"), (of_commit.into(), of_commit.into()));

    let dockerfile = format!(
        "ARG SOURCE_DATE_EPOCH=when\nFROM scratch AS when\nARG URL={}\nADD ${{URL}} /\nFROM scratch\nARG SOURCE_DATE_EPOCH\nENV E=$SOURCE_DATE_EPOCH\nWORKDIR /w\n",
        web.url("file")
    );
    sandbox.build(&dockerfile, &["-t", "b"]).succeeded();
    assert_eq!(created("b"), ("2006-01-02T22:04:05Z".into(), "2006-01-02T22:04:05Z".into()));
    assert_eq!(saved(&sandbox, "b").tree["w"].mtime, 1_136_239_445);
    assert_eq!(saved(&sandbox, "b").config["config"]["Env"][1], "E=1136239445");

    let other = format!("URL={}", repository.url("#v1"));
    sandbox.build(&dockerfile, &["-t", "c", "--build-arg", &other]).succeeded();
    assert_eq!(created("c").0, of_commit);

    let named = format!("src={}", repository.url(""));
    let plain = "FROM scratch\nLABEL a=b\n";
    sandbox.build(plain, &["-t", "d", "--build-context", &named, "--build-arg", &epoch("src")]).succeeded();
    assert_eq!(created("d").0, of_commit);

    for (dockerfile, value) in [
        (plain, "soon"),
        ("FROM scratch AS when\nLABEL a=b\n", "when"),
        ("FROM scratch AS when\nADD file /\n", "when"),
        ("FROM scratch AS when\nADD http://127.0.0.1:1/a http://127.0.0.1:1/b /\n", "when"),
    ] {
        let failed = sandbox.build(dockerfile, &["--build-arg", &epoch(value)]).ended_with(1);
        failed.saying(&format!("invalid SOURCE_DATE_EPOCH: {value}"));
    }
    // A folder has no time of its own.
    sandbox.build(plain, &["-t", "e", "--build-arg", &epoch("context")]).succeeded();
}

#[test]
fn named_contexts() {
    let Some(repository) = Repository::start() else { return };
    let sandbox = Sandbox::with_busybox();
    sandbox.write("folder/file", "of a folder");
    sandbox.write("folder/ignored", "no");
    sandbox.write("folder/.dockerignore", "ignored\n");
    let archive = gzip(&tar(&[("file", "of an archive")]));
    let web = Web::start(move |path, _| Answer {
        body: if path.ends_with(".tgz") { archive.clone() } else { b"alone".to_vec() },
        ..Answer::default()
    });
    sandbox
        .build("FROM scratch\nCOPY folder/file /file\n", &["-t", "made", "-o", "type=oci,dest=layout.tar"])
        .succeeded();
    std::fs::create_dir(sandbox.path("layout")).expect("a folder");
    tar::Archive::new(std::fs::File::open(sandbox.path("layout.tar")).expect("the archive"))
        .unpack(sandbox.path("layout"))
        .expect("a layout");
    sandbox.rbuild(&["save", "-o", "made.tar", "made"]).succeeded();
    sandbox.rbuild(&["rmi", "made"]).succeeded();

    for (value, want) in [
        ("folder".to_owned(), "of a folder"),
        (sandbox.path("folder"), "of a folder"),
        (web.url("x.tgz"), "of an archive"),
        (repository.url("#v1"), "one\n"),
        ("oci-layout://layout".to_owned(), "of a folder"),
        ("made.tar".to_owned(), "of a folder"),
    ] {
        let context = format!("named={value}");
        let dockerfile =
            "FROM named AS base\nFROM scratch\nCOPY --from=named /file /a\nCOPY --from=base /file /b\n";
        sandbox.build(dockerfile, &["-t", "x", "--build-context", &context]).succeeded();
        let image = saved(&sandbox, "x");
        assert_eq!((image.text("a"), image.text("b")), (want.to_owned(), want.to_owned()), "{value}");
    }
    let ignored = "FROM scratch\nCOPY --from=named /ignored /\n";
    sandbox
        .build(ignored, &["--build-context", "named=folder"])
        .ended_with(1)
        .saying("\"/ignored\": not found");
    let single = format!("named={}", web.url("file"));
    sandbox
        .build("FROM scratch\nCOPY --from=named /context /a\n", &["-t", "x", "--build-context", &single])
        .succeeded();
    assert_eq!(saved(&sandbox, "x").text("a"), "alone");

    // The name of a base image, and of a stage, can be taken.
    let base = ["-t", "x", "--build-context", "alpine:3=docker-image://busybox"];
    sandbox.build("FROM docker.io/library/alpine:3\nLABEL a=b\n", &base).succeeded();
    assert!(saved(&sandbox, "x").tree.contains_key("bin/busybox"));
    let stage = "FROM nowhere AS build\nRUN false\nFROM scratch\nCOPY --from=build /file /a\n";
    sandbox.build(stage, &["-t", "x", "--build-context", "BUILD=folder"]).succeeded();
    assert_eq!(saved(&sandbox, "x").text("a"), "of a folder");

    sandbox.build(stage, &["--build-context", "build=ftp://x/y"]).ended_with(125).saying("ftp://x/y");
    sandbox.build(stage, &["--build-context", "build=nothing-here"]).ended_with(1).saying("nothing-here");
    sandbox.build(stage, &["--build-context", "build"]).ended_with(125).saying("expected key=value");
}
