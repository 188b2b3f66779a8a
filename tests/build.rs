//! Builds, through the program.

use crate::support::Sandbox;
use crate::support::archive::Image;

const HELLO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hello");

fn done(status: &str, instructions: &[&str]) -> Vec<(String, String)> {
    instructions.iter().map(|i| ((*i).to_owned(), status.to_owned())).collect()
}

#[test]
fn the_first_command_of_the_readme() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.rbuild(&["-t", "hello", HELLO]).succeeded();
    let want = "Hello, world! This image was built and run by rbuild.\n";
    sandbox.rbuild(&["run", "--rm", "hello"]).succeeded().printing(want);
    sandbox.rbuild(&["-t", "hello:you", "--build-arg", "NAME=you", HELLO]).succeeded();
    sandbox.rbuild(&["run", "--rm", "hello:you"]).succeeded().printing(&want.replace("world", "you"));
}

#[test]
fn the_second_build_is_cached_and_the_same() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("file", "content");
    let dockerfile = "FROM busybox\nCOPY file /file\nRUN cat /file > /copy\nWORKDIR /work\nENV A=b\n";
    let steps = ["COPY file /file", "RUN cat /file > /copy", "WORKDIR /work"];
    let first = sandbox.build(dockerfile, &["-t", "x", "--progress=json"]).succeeded();
    assert_eq!(first.steps(), done("done", &steps));
    let saved = sandbox.rbuild(&["save", "x"]).succeeded().bytes;
    let second = sandbox.build(dockerfile, &["-t", "x", "--progress=json"]).succeeded();
    assert_eq!(second.steps(), done("cached", &steps));
    assert_eq!(sandbox.rbuild(&["save", "x"]).succeeded().bytes, saved);
    let image = Image::only(&saved);
    assert_eq!((image.text("file"), image.text("copy")), ("content".to_owned(), "content".to_owned()));
    let third = sandbox.build(dockerfile, &["--no-cache", "--progress=json"]).succeeded();
    assert!(third.steps().contains(&("RUN cat /file > /copy".into(), "done".into())), "{third}");
}

#[test]
fn ids_for_scripts() {
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .build(
            "FROM scratch\nLABEL a=b\n",
            &["-q", "--load", "--iidfile", "id", "--metadata-file", "metadata", "-t", "a", "-t", "b:2"],
        )
        .succeeded();
    assert_eq!(outcome.stderr, "", "{outcome}");
    let id = outcome.stdout.trim();
    assert_eq!(std::fs::read_to_string(sandbox.path("id")).expect("the file"), id);
    let metadata = std::fs::read(sandbox.path("metadata")).expect("the file");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).expect("json");
    let names = "docker.io/library/a:latest,docker.io/library/b:2";
    let want = serde_json::json!({"containerimage.config.digest": id, "image.name": names});
    assert_eq!(metadata, want);
    for name in ["a:latest", "b:2"] {
        sandbox
            .rbuild(&["inspect", "-f", "{{.Id}} {{.Config.Labels.a}}", name])
            .succeeded()
            .printing(&format!("{id} b\n"));
    }
}

#[test]
fn a_dockerfile_from_standard_input_or_elsewhere() {
    let sandbox = Sandbox::new();
    sandbox.write("context/file", "x");
    let dockerfile = b"FROM scratch\nCOPY file /file\n";
    sandbox.rbuild_with_input(&["build", "-t", "a", "-f", "-", "context"], dockerfile).succeeded();
    sandbox.write("other/My.Dockerfile", dockerfile);
    sandbox.rbuild(&["build", "-t", "b", "-f", "other/My.Dockerfile", "context"]).succeeded();
    let id = |name| sandbox.rbuild(&["inspect", "-f", "{{.RootFS.Layers}}", name]).succeeded().stdout;
    assert_eq!(id("a"), id("b"));
    sandbox.rbuild_with_input(&["build", "-t", "c", "-"], b"FROM scratch\nLABEL x=y\n").succeeded();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_path_with_name(sandbox.path("context/file"), "file").expect("an entry");
    tar.append_path_with_name(sandbox.path("other/My.Dockerfile"), "Dockerfile").expect("an entry");
    let archive = tar.into_inner().expect("an archive");
    sandbox.rbuild_with_input(&["build", "-t", "d", "-"], &archive).succeeded();
    let image = Image::only(&sandbox.rbuild(&["save", "d"]).succeeded().bytes);
    assert_eq!(image.text("file"), "x");
}

#[test]
fn outputs() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "content");
    let dockerfile = "FROM scratch\nCOPY file /dir/file\n";
    sandbox
        .build(dockerfile, &["-t", "x", "-o", "type=docker,dest=docker.tar", "-o", "type=local,dest=out"])
        .succeeded();
    let image = Image::only(&std::fs::read(sandbox.path("docker.tar")).expect("the archive"));
    assert_eq!((image.names, image.layers.len()), (vec!["x:latest".to_owned()], 1));
    assert_eq!(std::fs::read_to_string(sandbox.path("out/dir/file")).expect("the file"), "content");
    let files = sandbox.build(dockerfile, &["-o", "-"]).succeeded().bytes;
    let mut names = Vec::new();
    for entry in tar::Archive::new(&files[..]).entries().expect("an archive") {
        names.push(entry.expect("an entry").path().expect("a name").display().to_string());
    }
    assert_eq!(names.iter().filter(|n| n.ends_with("dir/file")).count(), 1, "{names:?}");
}

/// While the last layer is made its tar goes into the archive; the archive is the same when nothing is made.
#[test]
fn an_archive_begun_with_its_last_layer_is_the_one_written_at_the_end() {
    let sandbox = Sandbox::new();
    for size in [10, 6 << 20] {
        sandbox.write("first", "1");
        sandbox.write("last", vec![b'x'; size]);
        let dockerfile = "FROM scratch\nCOPY first /first\nCOPY last /last\n";
        let build = |archive: &str, more: &[&str]| {
            let output = format!("type=docker,dest={archive}");
            sandbox.build(dockerfile, &[&["-t", "x", "-o", &output], more].concat()).succeeded();
            std::fs::read(sandbox.path(archive)).expect("the archive")
        };
        let early = build("early.tar", &[]);
        assert!(early == build("cached.tar", &[]), "{size}");
        assert!(early == sandbox.rbuild(&["save", "x"]).succeeded().bytes, "{size}");
        // An equal layer is there, and stays, whose times may be others.
        build("again.tar", &["--no-cache"]);
        assert_eq!(Image::only(&early).layers.len(), 2);
    }
    let missing = sandbox.build("FROM scratch\nCOPY last /last\n", &["-o", "type=docker,dest=none/x.tar"]);
    missing.ended_with(1).saying("none/x.tar");
    sandbox
        .build("FROM scratch\nCOPY last /z\nCOPY nothing /\n", &["-o", "type=docker,dest=y.tar"])
        .ended_with(1);
    let names = std::fs::read_dir(sandbox.path("")).expect("it is there").flatten();
    let left = names.filter(|entry| entry.file_name().to_string_lossy().contains("part"));
    assert_eq!(left.count(), 0, "nothing of the way is left");
}

#[test]
fn files_go_into_a_folder_that_has_some() {
    let sandbox = Sandbox::new();
    for name in ["dir/file", "dir/sub/inner", "was-folder", "link-target"] {
        sandbox.write(&format!("new/{name}"), "new");
    }
    sandbox.write("new/was-file/inside", "new");
    std::os::unix::fs::symlink("link-target", sandbox.path("new/link")).expect("a link");
    let args = ["-o", "out"];
    for name in ["dir/file", "dir/old", "was-folder/deep/file", "was-file", "elsewhere/inner"] {
        sandbox.write(&format!("out/{name}"), "old");
    }
    std::fs::create_dir(sandbox.path("out/dir/link")).expect("a folder");
    std::os::unix::fs::symlink("../elsewhere", sandbox.path("out/dir/sub")).expect("a link");
    for _ in 0..2 {
        sandbox.build("FROM scratch\nCOPY new /\n", &args).succeeded();
        let text = |name: &str| std::fs::read_to_string(sandbox.path(&format!("out/{name}"))).expect(name);
        for name in ["dir/file", "dir/sub/inner", "was-folder", "was-file/inside", "link"] {
            assert_eq!(text(name), "new", "{name}");
        }
        assert_eq!((text("dir/old"), text("elsewhere/inner")), ("old".to_owned(), "old".to_owned()));
    }
    let names = std::fs::read_dir(sandbox.path("out")).expect("it is there").flatten();
    let hidden = names.filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "nothing of the way is left");
}

#[test]
fn a_folder_that_is_mounted_is_itself() {
    use std::os::unix::fs::PermissionsExt;
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("sub/f", "x");
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(sandbox.path("sub"), mode(0o711)).expect("its mode is set");
    let dockerfile = "FROM busybox AS made\nRUN mkdir -m 1770 /d && touch -d @77 /d\n\
        FROM busybox\nRUN --mount=type=bind,from=made,source=/d,target=/d --mount=type=bind,source=sub,target=/s \
        --mount=type=bind,target=/c stat -c '%n:%a:%u' /d /s /c && stat -c mtime:%Y /d\n";
    let build = || sandbox.build(dockerfile, &["--progress=plain"]).succeeded();
    build().saying("/d:1770:0").saying("/s:711:0").saying("/c:755:0").saying("mtime:77");
    // It is seen, so it counts.
    std::fs::set_permissions(sandbox.path("sub"), mode(0o700)).expect("its mode is set");
    build().saying("/s:700:0");
}

#[test]
fn the_host_name_and_the_space_of_caches() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = "FROM busybox\nRUN --mount=type=cache,target=/c hostname; ls /c; touch /c/mark\n";
    let build = |args: &[&str]| {
        let outcome = sandbox.build(dockerfile, &[&["--progress=plain"], args].concat()).succeeded();
        let shows = |text: &str| outcome.stderr.lines().any(|line| line.ends_with(text));
        (shows(" buildkitsandbox"), shows(" box"), shows(" mark"))
    };
    assert_eq!(build(&[]), (true, false, false));
    assert_eq!(build(&["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=box"]), (false, true, true));
    assert_eq!(build(&["--build-arg", "BUILDKIT_CACHE_MOUNT_NS=mine"]), (true, false, false));
    let shm = "FROM busybox\nRUN df -k /dev/shm | tail -1 | sed 's/^[^0-9]*/blocks: /'\n";
    sandbox.build(shm, &["--progress=plain", "--shm-size", "3m"]).succeeded().saying("blocks: 3072 ");
    let limits = "FROM busybox\nRUN echo soft $(ulimit -S -n) hard $(ulimit -H -n)\n";
    let limited = |limit: &str| sandbox.build(limits, &["--progress=plain", "--ulimit", limit]);
    limited("nofile=77:88").succeeded().saying("soft 77 hard 88");
    limited("nofile=78:88").succeeded().saying("soft 78 hard 88");
    limited("nofile=78:88").succeeded().saying("CACHED");
    limited("files=1").ended_with(125).saying("no such limit");
    let run = ["run", "--rm", "--ulimit", "nofile=66", "busybox", "sh", "-c", "ulimit -n"];
    sandbox.rbuild(&run).succeeded().printing("66\n");
}

#[test]
fn names_that_are_no_text_and_a_strict_umask() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    sandbox.write("context/plain\nwith line", "a");
    std::fs::write(sandbox.work().join("context").join(odd), "b").expect("a file");
    std::os::unix::fs::symlink(odd, sandbox.path("context/link")).expect("a link");
    let dockerfile = "FROM scratch AS files\nCOPY context /deep/er/\nWORKDIR /work/er\n\
         FROM scratch\nCOPY --from=files / /\nCOPY <<E /here\nE\n";
    sandbox.write("Dockerfile", dockerfile);
    let rbuild = env!("CARGO_BIN_EXE_rbuild");
    let mut strict = std::process::Command::new("sh");
    let build = "umask 077; exec \"$0\" build -q -t x -o type=local,dest=out .";
    let environment = sandbox.command(&[]);
    strict.args(["-c", build, rbuild]).current_dir(sandbox.work()).env_clear();
    strict.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    crate::support::Outcome::of(strict, &["build"]).succeeded();

    let image = Image::only(&sandbox.rbuild(&["save", "x"]).succeeded().bytes);
    let modes: Vec<(&str, u32)> = image.tree.iter().map(|(path, node)| (&**path, node.mode)).collect();
    let want = [
        ("deep", 0o755),
        ("deep/er", 0o755),
        ("deep/er/link", 0o777),
        ("deep/er/plain\nwith line", 0o644),
        ("deep/er/\u{fffd}\u{fffd}", 0o644),
        ("here", 0o644),
        ("work", 0o755),
        ("work/er", 0o755),
    ];
    assert_eq!(modes, want);
    assert_eq!(std::fs::read(sandbox.work().join("out/deep/er").join(odd)).expect("its name is kept"), b"b");
    assert_eq!(std::fs::read(sandbox.path("out/deep/er/link")).expect("the link leads there"), b"b");
}

#[test]
fn times_are_rewritten_when_asked_for() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    const EPOCH: u64 = 1_300_000_000;
    let old = sandbox.write("old", "x");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_200_000_000);
    std::fs::File::open(old).and_then(|file| file.set_modified(time)).expect("its time is set");
    sandbox.write("new", "y");
    let dockerfile = "FROM busybox\nCOPY old new /dir/\nRUN touch /made && ln /made /linked && rm /bin/yes && mkdir -m 1777 /d\nRUN touch -d @1 /very-old\n";
    let epoch = format!("SOURCE_DATE_EPOCH={EPOCH}");
    let output = "type=docker,dest=x.tar,rewrite-timestamp=true";
    let args = ["-t", "x", "--no-cache", "--build-arg", &epoch, "-o", output];
    let build = || {
        sandbox.build(dockerfile, &args).succeeded();
        std::fs::read(sandbox.path("x.tar")).expect("the archive")
    };
    let archive = build();
    let image = Image::only(&archive);
    let time = |path: &str| image.tree[path].mtime;
    assert_eq!(
        (time("dir/old"), time("dir/new"), time("made"), time("very-old")),
        (1_200_000_000, EPOCH, EPOCH, 1)
    );
    assert_eq!(image.tree["made"].kind, crate::support::archive::Kind::Hardlink("linked".into()));
    assert_eq!((image.tree["d"].mode, image.tree.contains_key("bin/yes")), (0o1777, false));
    let layers =
        |config: &serde_json::Value| config["rootfs"]["diff_ids"].as_array().cloned().expect("a list");
    let base = Image::only(&std::fs::read(crate::support::BUSYBOX).expect("the fixture"));
    let (all, of_base) = (layers(&image.config), layers(&base.config));
    assert_eq!(all[..of_base.len()], of_base, "the base stays as it is");
    assert!(build() == archive, "the same again, although every step ran again");

    let plain = ["-t", "y", "--build-arg", &epoch, "-o", "type=docker,dest=x.tar"];
    sandbox.build(dockerfile, &plain).succeeded();
    let image = Image::only(&std::fs::read(sandbox.path("x.tar")).expect("the archive"));
    assert!(image.tree["made"].mtime > EPOCH, "the cache has the times as they were");
    sandbox.build(dockerfile, &["-o", output]).ended_with(1).saying("needs a time");
}
