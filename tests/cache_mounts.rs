//! `RUN --mount=type=cache` across processes, and `cache mount`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Outcome, Sandbox};

/// The one row of `cache mount ls`.
fn row(sandbox: &Sandbox) -> Value {
    let list = sandbox.rbuild(&["cache", "mount", "ls", "--format", "json"]).succeeded();
    serde_json::from_str(&list.stdout).unwrap_or_else(|e| panic!("{e}: {list}"))
}

fn files(sandbox: &Sandbox) -> Vec<String> {
    let found = sandbox.rbuild(&["cache", "mount", "inspect", "-f", "{{.Path}}", "c"]).succeeded().stdout;
    let entries = std::fs::read_dir(found.trim()).expect("the cache");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// A build with one RUN that has the cache `c` at /c.
fn run(sandbox: &Sandbox, options: &str, command: &str) -> Outcome {
    let mount = format!("--mount=type=cache,id=c,target=/c{options}");
    sandbox.build(&format!("FROM busybox\nRUN {mount} {command}\n"), &[])
}

#[test]
fn locked_is_a_transaction() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let locked = |command: &str| run(&sandbox, ",sharing=locked", command);
    locked("mkdir /c/d /c/e && echo 1 > /c/d/kept && echo 1 > /c/e/gone && chmod 700 /c/d").succeeded();
    assert_eq!(files(&sandbox), ["d", "e"]);
    locked("rm -r /c/e && echo 2 > /c/d/kept && touch /c/lost && exit 3")
        .ended_with(1)
        .saying("exit code: 3");
    assert_eq!(files(&sandbox), ["d", "e"], "a failed step leaves the cache as it was");
    locked("cat /c/d/kept | grep 1 && rm -r /c/e && mkdir /c/e && touch /c/e/new && echo 3 > /c/d/kept && mv /c/d/kept /c/f")
        .succeeded();
    locked("test ! -e /c/e/gone && test ! -e /c/d/kept && test -e /c/e/new && grep 3 /c/f").succeeded();
    // Two mounts of one cache in one step are one transaction.
    let twice = "--mount=type=cache,id=c,target=/x,source=d,sharing=locked";
    run(&sandbox, &format!(",sharing=locked {twice}"), "touch /x/y && test -e /c/d/y").succeeded();
    assert_eq!(row(&sandbox)["InUseBy"], "-");
    // In place, as other builders do it, for those who want that.
    let config = sandbox.home().join(".config/rbuild");
    std::fs::create_dir_all(&config).expect("a folder");
    std::fs::write(config.join("config.json"), r#"{"cache-mounts": {"transactions": false}}"#)
        .expect("a file");
    locked("touch /c/partial && exit 1").ended_with(1);
    assert!(files(&sandbox).contains(&"partial".to_owned()));
}

#[test]
fn a_killed_step_leaves_a_locked_cache_as_it_was() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    run(&sandbox, ",sharing=locked", "touch /c/kept").succeeded();
    let mount = "--mount=type=cache,id=c,target=/c,sharing=locked";
    sandbox
        .write("Dockerfile", format!("FROM busybox\nRUN {mount} touch /c/lost && echo ready && sleep 60\n"));
    let mut child = sandbox
        .command(&["build", "--progress=plain", "."])
        .stderr(Stdio::piped())
        .spawn()
        .expect("rbuild starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("a pipe")));
    assert!(lines.any(|line| line.expect("text").ends_with(" ready")), "the step runs");
    let in_use = row(&sandbox);
    assert_eq!(in_use["InUseBy"], child.id().to_string());
    sandbox.rbuild(&["cache", "mount", "rm", "c"]).ended_with(1).saying("cache c is in use by process");
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    let deadline = Instant::now() + Duration::from_secs(10);
    while row(&sandbox)["InUseBy"] != "-" {
        assert!(Instant::now() < deadline, "the lock is given up");
    }
    run(&sandbox, ",sharing=locked", "test -e /c/kept && test ! -e /c/lost").succeeded();
}

#[test]
fn sharing_is_honoured_across_processes() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let together = |sharing: &str, command: &str| {
        let children: Vec<_> = (0..2)
            .map(|number| {
                let name = format!("Dockerfile.{sharing}.{number}");
                let mount = format!("--mount=type=cache,id={sharing},target=/c,sharing={sharing}");
                sandbox.write(&name, format!("FROM busybox\nRUN {mount} : {number}; {command}\n"));
                let mut command = sandbox.command(&["build", "-f", &name, "."]);
                command.stderr(Stdio::piped()).spawn().expect("rbuild starts")
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{sharing}: {}", String::from_utf8_lossy(&output.stderr));
        }
    };
    // Each waits until it sees the other one.
    let meet = "touch /c/$$; n=0; while [ $(ls /c | wc -l) -lt 2 ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done; [ $n -lt 100 ]";
    together("shared", &meet.replace("$$", "$(cat /proc/sys/kernel/random/uuid)"));
    // Nobody may see another one's mark.
    let alone = "test ! -e /c/mark && touch /c/mark && sleep 0.3 && rm /c/mark";
    together("locked", alone);
    together("private", alone);
}

#[test]
fn caches_are_listed_carried_and_removed() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    run(
        &sandbox,
        ",mode=0750",
        "mkdir /c/d && echo content > /c/d/file && ln /c/d/file /c/link && chmod 600 /c/link",
    )
    .succeeded();
    let listed = row(&sandbox);
    assert_eq!((&listed["ID"], &listed["InUseBy"]), (&"c".into(), &"-".into()));
    assert!(listed["Bytes"].as_u64().is_some_and(|bytes| bytes >= 4096), "{listed}");
    sandbox.rbuild(&["cache", "mount", "export", "-o", "c.tar", "c"]).succeeded().printing("");
    let other = Sandbox::with_busybox();
    let import = ["cache", "mount", "import", "-i", &sandbox.path("c.tar")];
    other.rbuild(&import).succeeded().printing("Imported cache mount: c\n");
    run(
        &other,
        ",mode=0750",
        "grep content /c/link && test $(stat -c %a%h /c/d/file) = 6002 && test $(stat -c %a /c) = 750",
    )
    .succeeded();
    sandbox.rbuild(&["cache", "mount", "inspect", "nothing"]).ended_with(1).saying("no such cache: nothing");
    let name = row(&sandbox)["Name"].as_str().expect("text").to_owned();
    assert!(sandbox.rbuild(&["cache", "mount", "rm", &name]).succeeded().stdout.starts_with(&name));
    sandbox.rbuild(&["cache", "mount", "ls", "-q"]).succeeded().printing("");
    // Any tar will do with an id; no tar leaves nothing.
    let refused = sandbox.rbuild_with_input(&["cache", "mount", "import", "x"], &[7; 2000]).ended_with(1);
    assert!(refused.stderr.contains("archive"), "{refused}");
    sandbox.rbuild(&["cache", "mount", "ls", "-q"]).succeeded().printing("");
}
