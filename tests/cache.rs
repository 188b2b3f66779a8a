//! The cache, through the program: what hits, what is said of misses, and several builds at once.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Outcome, Sandbox};

/// What became of the steps, by their instructions.
fn statuses(outcome: &Outcome) -> Vec<String> {
    outcome.steps().into_iter().map(|(_, status)| status).collect()
}

fn explained(sandbox: &Sandbox) -> Value {
    let out = sandbox.rbuild(&["explain", "--format", "json"]).succeeded().stdout;
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn a_step_that_ran_again_and_made_the_same_costs_nothing_after_it() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = |comment: &str| {
        format!(
            "FROM busybox AS made\nRUN echo same > /file; : {comment}\nRUN cp /file /copy\n\
             FROM busybox\nCOPY --from=made /copy /copy\nRUN cat /copy > /last\n"
        )
    };
    sandbox.build(&dockerfile("one"), &["--progress=json"]).succeeded();
    let again = sandbox.build(&dockerfile("two"), &["--progress=json"]).succeeded();
    let ran: Vec<_> = again.steps().into_iter().filter(|(_, status)| status == "done").collect();
    assert_eq!(ran.len(), 1, "{again}");
    assert!(ran[0].0.contains(": two"), "{again}");
}

#[test]
fn a_copy_from_a_stage_depends_on_what_it_copies() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = |other: &str| {
        format!(
            "FROM busybox AS made\nRUN echo same > /file; echo {other} > /other\n\
             FROM busybox\nCOPY --from=made /file /file\nRUN cat /file > /last\n"
        )
    };
    sandbox.build(&dockerfile("one"), &["--progress=json"]).succeeded();
    let again = sandbox.build(&dockerfile("two"), &["--progress=json"]).succeeded();
    assert_eq!(statuses(&again).iter().filter(|status| *status == "done").count(), 1, "{again}");
}

#[test]
fn a_layer_that_shares_files_with_the_last_one_is_as_if_made_anew() {
    let sandbox = Sandbox::new();
    let dockerfile = "FROM scratch\nCOPY src /src\n";
    let big = "0123456789abcdef".repeat(100 * 1024);
    sandbox.write("src/big", &big);
    sandbox.write("src/d/same", &big[..600 * 1024]);
    sandbox.write("src/d/twin", &big[..600 * 1024]);
    sandbox.write("src/d/changes", "1");
    // Files as young as the build that reads them are not remembered.
    std::thread::sleep(std::time::Duration::from_millis(40));
    sandbox.build(dockerfile, &["-t", "first"]).succeeded();
    sandbox.write("src/d/changes", "2");
    sandbox.write("src/new", "new");
    sandbox.build(dockerfile, &["-t", "shared"]).succeeded();
    let again = sandbox.build(dockerfile, &["-t", "shared", "--progress=json"]).succeeded();
    assert_eq!(statuses(&again), ["cached"], "{again}");
    sandbox.rbuild(&["fsck"]).succeeded();
    let layer = |store: &std::path::Path, image: &str| {
        let args = ["image", "inspect", "--format", "{{index .RootFS.Layers 0}}", image];
        let mut command = sandbox.command(&args);
        command.env("RBUILD_ROOT", store);
        Outcome::of(command, &args).succeeded().stdout
    };
    let shared = layer(&sandbox.store(), "shared");
    assert_ne!(shared, layer(&sandbox.store(), "first"));
    // In a store that knows nothing of all this.
    let other = sandbox.home().join("other");
    let args = ["build", "-t", "anew", "."];
    let mut command = sandbox.command(&args);
    command.env("RBUILD_ROOT", &other);
    Outcome::of(command, &args).succeeded();
    assert_eq!(shared, layer(&other, "anew"));
}

#[test]
fn what_a_step_cannot_see_does_not_touch_it() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("file", "content");
    let dockerfile = "FROM busybox\nCOPY file /file\nRUN cat /file\nARG LATE\nLABEL late=$LATE\n";
    let args = |value: &'static str| ["--progress=json", "--build-arg", value];
    sandbox.build(dockerfile, &args("LATE=1")).succeeded();
    // Another time, and another value of an argument that is declared after the steps.
    sandbox.write("file", "content");
    let again = sandbox.build(dockerfile, &args("LATE=2")).succeeded();
    assert_eq!(statuses(&again), ["cached", "cached"], "{again}");
}

/// Steps that stand on the same files and do the same, but for one thing each.
const ALIKE: &[&str] = &[
    "RUN true",
    "RUN [\"true\"]",
    "RUN <<E\n#!/bin/true\nE",
    "RUN <<E\n#!/bin/true\n#\nE",
    "ENV A=1\nRUN true",
    "ARG A=2\nRUN true",
    "USER 7\nRUN true",
    "RUN --network=none true",
    "RUN --security=insecure true",
    "RUN --mount=target=/m true",
    "RUN --mount=target=/m,rw true",
    "RUN --mount=target=/n true",
    "RUN --mount=target=/m,source=dir true",
    "RUN --mount=type=tmpfs,target=/m true",
    "RUN --mount=type=tmpfs,target=/m,size=4096 true",
    "RUN --mount=type=cache,target=/m true",
    "RUN --mount=type=cache,target=/m,id=c true",
    "RUN --mount=type=cache,target=/m,ro true",
    "RUN --mount=type=cache,target=/m,sharing=locked true",
    "RUN --mount=type=cache,target=/m,uid=7 true",
    "RUN --mount=type=cache,target=/m,from=busybox,source=/etc true",
    "RUN --mount=type=secret,id=s true",
    "RUN --mount=type=secret,id=t true",
    "RUN --mount=type=secret,id=s,env=S true",
    "RUN --mount=type=secret,id=s,mode=0444 true",
    "RUN --mount=type=secret,id=s,uid=7 true",
    "RUN --mount=type=ssh true",
    "RUN --mount=type=ssh,id=a true",
    "COPY file /x",
    "COPY file /y",
    "COPY --link file /x",
    "COPY --parents file /x",
    "COPY --exclude=none dir /x",
    "COPY dir /x",
    "COPY --chown=7 file /x",
    "COPY --chmod=0604 file /x",
    "COPY --from=files /file /x",
    "ADD file /x",
    "ADD --unpack=true file /x",
    "WORKDIR /etc\nRUN true",
    "WORKDIR /bin\nRUN true",
    "WORKDIR /w",
    "WORKDIR /v",
    "USER 7\nWORKDIR /w",
];

#[test]
fn what_a_step_can_see_makes_it_another_step() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("file", "content");
    sandbox.write("dir/file", "content");
    let stage = |(number, step): (usize, &&str)| format!("FROM busybox AS s{number}\n{step}\n");
    let last = |number| format!("COPY --from=s{number} /etc/passwd /{number}\n");
    let dockerfile = [
        "FROM scratch AS files\nCOPY file /\n".to_owned(),
        ALIKE.iter().enumerate().map(stage).collect(),
        "FROM scratch\n".to_owned(),
        (0..ALIKE.len()).map(last).collect(),
    ];
    let args = ["--progress=json", "--allow=security.insecure"];
    let build = || sandbox.build(&dockerfile.concat(), &args).succeeded().steps();
    let cached: Vec<_> = build().into_iter().filter(|(_, status)| status == "cached").collect();
    assert_eq!(cached, [], "they have the key of another one");
    assert!(build().iter().all(|(_, status)| status == "cached"));
}

#[test]
fn what_the_command_line_says_of_a_run_makes_it_another_step() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let status = |args: &[&str]| {
        let built = sandbox.build("FROM busybox\nRUN true\n", &[&["--progress=json"], args].concat());
        statuses(&built.succeeded()).concat()
    };
    for args in [
        &[][..],
        &["--add-host", "a:10.0.0.1"],
        &["--shm-size", "3m"],
        &["--ulimit", "nofile=77"],
        &["--network", "none"],
        &["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=box"],
    ] {
        assert_eq!((status(args), status(args)), ("done".to_owned(), "cached".to_owned()), "{args:?}");
    }
    assert_eq!(status(&["--add-host", "a:10.0.0.2"]), "cached", "where a name leads is not in the key");
}

#[test]
fn stages_that_must_not_come_from_the_cache() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = "FROM busybox AS One\nRUN date +%N > /now\nFROM busybox AS two\nRUN echo > /two\n\
                      COPY --from=One /now /now\n";
    sandbox.build(dockerfile, &["--progress=json"]).succeeded();
    let again = sandbox.build(dockerfile, &["--progress=json", "--no-cache-filter", "one"]).succeeded();
    let status = |text: &str| {
        let found = again.steps().into_iter().find(|(instruction, _)| instruction.starts_with(text));
        found.expect("the step").1
    };
    assert_eq!((status("RUN date"), status("RUN echo")), ("done".into(), "cached".into()), "{again}");
    let typo = sandbox.build(dockerfile, &["--progress=plain", "--no-cache-filter", "oen"]).succeeded();
    typo.saying("--no-cache-filter=oen: the Dockerfile has no stage of that name");
    sandbox.build(dockerfile, &["-q", "--no-cache-filter", "one"]).succeeded();
    assert!(
        explained(&sandbox)["steps"].as_array().expect("steps").iter().any(|s| s["reason"] == "no_cache")
    );
}

#[test]
fn a_first_build_has_nothing_to_be_compared_with() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "1");
    let outcome =
        sandbox.build("FROM scratch\nCOPY file /\n", &["--explain", "--progress=plain"]).succeeded();
    assert!(outcome.stderr.contains("never built before, nor anything like it"), "{outcome}");
    let other = sandbox.build("FROM scratch AS x\nCOPY file /other\n", &["--explain"]).succeeded();
    assert!(
        other.stderr.contains("the nearest is: COPY file /\n  - destination: \"/\" -> \"/other\""),
        "{other}"
    );
    sandbox.rbuild(&["explain", "nothing"]).ended_with(1).saying("no build is recorded of \"nothing\"");
}

#[test]
fn steps_are_known_again_in_another_folder_and_stage() {
    let sandbox = Sandbox::new();
    let write = |folder: &str, stage: &str, text: &str| {
        sandbox.write(&format!("{folder}/one"), text);
        sandbox.write(&format!("{folder}/two"), "2");
        let dockerfile = format!("FROM scratch{stage}\nCOPY one /\nCOPY two /\n");
        sandbox.write(&format!("{folder}/Dockerfile"), dockerfile);
        sandbox.rbuild(&["build", "-q", folder]).succeeded();
    };
    write("checkout", "", "before");
    write("other", " AS named", "now");
    let explained = explained(&sandbox);
    let steps = explained["steps"].as_array().expect("steps");
    let of = steps[0]["dockerfile"].as_str().expect("a path");
    assert!(of.ends_with("checkout/Dockerfile"), "{explained}");
    assert_eq!(steps[0]["changes"][0]["files"]["changes"][0]["path"], "one", "{explained}");
    assert_eq!(steps[1]["changes"][0]["because"]["line"], 2, "{explained}");
}

#[test]
fn the_last_build_is_the_last_though_the_clock_was_set_back() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "1");
    sandbox.build("FROM scratch\nCOPY file /before\n", &[]).succeeded();
    let builds = sandbox.store().join("v1/builds");
    let build = std::fs::read_dir(&builds).expect("builds").next().expect("one").expect("a name").path();
    std::fs::rename(build, builds.join("f00000000000000-1-0")).expect("it is renamed");
    sandbox.build("FROM scratch\nCOPY file /now\n", &[]).succeeded();
    let explained = explained(&sandbox);
    assert_eq!(explained["steps"][0]["instruction"], "COPY file /now", "{explained}");
}

#[test]
fn a_step_that_failed_before_it_began_has_failed() {
    let sandbox = Sandbox::new();
    let dockerfile = "FROM scratch\nCOPY nothing /\nCOPY more /\n";
    let built = sandbox.build(dockerfile, &["--progress=json"]).ended_with(1);
    assert_eq!(built.steps(), [("COPY nothing /".to_owned(), "failed".to_owned())], "{built}");
    let explained = explained(&sandbox);
    assert_eq!(explained["outcome"], "failed", "{explained}");
    let status = |step: usize| explained["steps"][step]["status"].as_str().expect("a status");
    assert_eq!((status(0), status(1)), ("failed", "waiting"), "{explained}");
}

#[test]
fn the_step_that_made_a_parent_differ_is_named() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = |text: &str| format!("FROM busybox\nRUN echo {text} > /a\nRUN touch /b\nRUN touch /c\n");
    sandbox.build(&dockerfile("one"), &[]).succeeded();
    sandbox.build(&dockerfile("two"), &["-t", "named"]).succeeded();
    let explained = explained(&sandbox);
    let steps = explained["steps"].as_array().expect("steps");
    assert_eq!(steps[0]["changes"][0]["name"], "command", "{explained}");
    for step in &steps[1..] {
        let changes = step["changes"].as_array().expect("changes");
        assert_eq!(changes.len(), 1, "{explained}");
        assert_eq!(changes[0]["because"]["line"], 2, "{explained}");
    }
    let text = sandbox.rbuild(&["explain", "named"]).succeeded().stdout;
    assert!(text.contains("line 2 has another result: RUN echo two > /a"), "{text}");
}

#[test]
fn builds_that_start_together_run_each_step_once() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write(
        "Dockerfile",
        "FROM busybox\nRUN --mount=type=cache,target=/count echo one >> /count/n; sleep 0.5\n\
         RUN --mount=type=cache,target=/count echo two >> /count/n; cp /count/n /n\n",
    );
    let start = |_| {
        let mut command = sandbox.command(&["build", "--progress=plain", "-t", "counted", "."]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("rbuild starts")
    };
    let builds: Vec<_> = (0..4).map(start).collect();
    let mut said = String::new();
    for mut build in builds {
        build.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        assert!(build.wait().expect("it ends").success(), "{said}");
    }
    let image = sandbox.rbuild(&["save", "counted"]).succeeded().bytes;
    assert_eq!(crate::support::archive::Image::only(&image).text("n"), "one\ntwo\n", "{said}");
    assert!(said.contains("waiting for rbuild process"), "{said}");
}

#[test]
fn a_killed_build_blocks_nobody() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write(
        "Dockerfile",
        "FROM busybox\nRUN --mount=type=cache,target=/c test -e /c/x || { touch /c/x; sleep 60; }\n",
    );
    let mut command = sandbox.command(&["build", "."]);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("rbuild starts");
    let began = || sandbox.store_listing().iter().any(|path| path.ends_with("/x"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !began() {
        assert!(std::time::Instant::now() < deadline, "the step did not begin");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    first.kill().expect("it can be killed");
    first.wait().expect("it has ended");
    sandbox.rbuild(&["build", "."]).succeeded();
    // What the killed one had in the making lies there until the next prune; it is no leak of the second.
    for left in std::fs::read_dir(sandbox.store().join("v1/tmp")).expect("the folder").flatten() {
        std::fs::remove_dir_all(left.path()).expect("nobody uses it");
    }
}

#[test]
fn logs_are_kept_to_the_byte() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = "FROM busybox\nRUN true\nRUN seq 1 500000; printf 'no end\\0'\n";
    sandbox.build(dockerfile, &["-q"]).succeeded();
    let mut want: Vec<u8> = (1..=500_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    want.extend(b"no end\0");
    let of_step = |step| sandbox.rbuild(&["logs", "--step", step]).succeeded().bytes;
    assert!(of_step("2") == want, "the log differs from what was written");
    assert_eq!(of_step("1"), b"");
    sandbox.rbuild(&["logs", "--step", "3"]).ended_with(1).saying("has no step 3, but 2");
    // Of a cached step, too.
    let mut replay = sandbox.command(&["build", "--replay-logs", "--progress=plain", "."]);
    replay.env("BUILDKIT_STEP_LOG_MAX_SIZE", "-1");
    let again = Outcome::of(replay, &["build"]).succeeded();
    assert!(again.stderr.contains(" 500000\n") && again.stderr.contains("CACHED"));
    assert!(of_step("2") == want, "the log of the cached step differs");
}

#[test]
fn the_log_of_a_failed_step_is_kept() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.build("FROM busybox\nRUN echo before the end; exit 3\n", &[]).ended_with(1);
    sandbox.rbuild(&["logs", "--step", "1"]).succeeded().printing("before the end\n");
    let whole = sandbox.rbuild(&["logs"]).succeeded().stdout;
    assert_eq!(whole, "#1 RUN echo before the end; exit 3\nbefore the end\n");
}

/// A checkout of the same commit, as somebody with this umask has it.
fn checkout(sandbox: &Sandbox, name: &str, umask: u32) {
    use std::os::unix::fs::PermissionsExt;
    let root = sandbox.work().join(name);
    sandbox.write(&format!("{name}/tree/folder/data"), "data");
    sandbox.write(&format!("{name}/tree/program"), "#!/bin/sh\n");
    sandbox.write(&format!("{name}/Dockerfile"), "FROM scratch\nCOPY tree /tree\nCOPY tree/program /\n");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_136_239_445);
    for (path, mode) in
        [("tree/folder/data", 0o666), ("tree/program", 0o777), ("tree/folder", 0o777), ("tree", 0o777)]
    {
        let path = root.join(path);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(umask), Some(umask)).expect("an owner");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode & !umask)).expect("a mode");
        let file = std::fs::File::open(&path).expect("it is there");
        file.set_times(std::fs::FileTimes::new().set_modified(time)).expect("a time");
    }
}

#[test]
fn a_umask_makes_no_other_image_of_what_git_has() {
    let (one, two) = (Sandbox::new(), Sandbox::new());
    let build = |sandbox: &Sandbox, name: &str, perm: &str| {
        let (perm, epoch) = (format!("--perm={perm}"), "--build-arg=SOURCE_DATE_EPOCH=1");
        let built = sandbox.rbuild(&["build", "--progress=json", &perm, epoch, "-t", name, name]).succeeded();
        let image = sandbox.rbuild(&["save", name]).succeeded().bytes;
        (statuses(&built), crate::support::archive::Image::only(&image))
    };
    checkout(&one, "open", 0o002);
    checkout(&one, "closed", 0o077);
    checkout(&two, "closed", 0o077);
    let (_, open) = build(&one, "open", "git");
    let modes = ["tree/folder/data", "tree/program", "tree/folder"].map(|path| open.tree[path].mode);
    assert_eq!(modes, [0o644, 0o755, 0o755]);
    let (again, closed) = build(&one, "closed", "git");
    assert_eq!(again, ["cached", "cached"]);
    assert_eq!(closed.id, open.id);
    let (_, elsewhere) = build(&two, "closed", "git");
    assert_eq!(elsewhere.id, open.id, "in a store that knows nothing of the other");
    let (kept, as_found) = build(&one, "closed", "keep");
    assert_eq!(kept, ["done", "done"]);
    assert_eq!(as_found.tree["tree/folder/data"].mode, 0o600);
}

/// A layer's identity knows seconds, and leaves out the time of what the step made itself.
#[test]
fn what_was_changed_in_the_second_of_the_build_leads_back_to_its_layer() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "new");
    let layers = |name: &str| {
        sandbox.build("FROM scratch\nCOPY file /made/file\n", &["-t", name, "--no-cache"]).succeeded();
        sandbox.rbuild(&["inspect", "-f", "{{.RootFS.Layers}}", name]).succeeded().stdout
    };
    let first = layers("first");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(layers("second"), first);
}
