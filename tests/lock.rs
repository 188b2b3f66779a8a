//! `rbuild.lock`: names that keep their meaning.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::registry::Registry;
use crate::support::server::FileServer;
use crate::support::{Outcome, Sandbox};

fn lock_of(sandbox: &Sandbox) -> Value {
    let text = std::fs::read(sandbox.path("rbuild.lock")).expect("the lock");
    serde_json::from_slice(&text).expect("the lock is JSON")
}

/// Builds without a network: not even loopback is there. None, said aloud, where that cannot be had.
fn build_offline(sandbox: &Sandbox, args: &[&str]) -> Option<Outcome> {
    let command = sandbox.command(&[&["build"], args, &["."]].concat());
    let mut offline = Command::new("unshare");
    let root = rustix::process::getuid().is_root();
    offline.args(if root { &["--net"][..] } else { &["--net", "--user", "--map-current-user"] });
    if !offline.arg("true").output().is_ok_and(|output| output.status.success()) {
        println!("SKIP no network namespace can be made");
        return None;
    }
    let mut inside = Command::new("unshare");
    inside.args(offline.get_args().filter(|arg| *arg != "true"));
    inside.arg(command.get_program()).args(command.get_args()).current_dir(sandbox.work()).env_clear();
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    Some(Outcome::of(inside, args))
}

/// An image of one file, under a name.
fn publish(sandbox: &Sandbox, name: &str, text: &str) {
    sandbox.write("base/Dockerfile", "FROM scratch\nCOPY file /file\n");
    sandbox.write("base/file", text);
    sandbox.rbuild(&["build", "--push", "-t", name, "base"]).succeeded();
}

#[test]
fn a_locked_build_is_the_same_build_and_needs_no_network() {
    let Some(registry) = Registry::start(None) else { return };
    let team = Sandbox::new();
    let base = format!("{}/base:1", registry.address);
    publish(&team, &base, "old");
    team.write("web/data", "old");
    let server = FileServer::start(team.work().join("web"), Value::Null);
    let dockerfile = format!("FROM {base}\nADD {}/data /data\n", server.url());

    let here = Sandbox::new();
    here.write("Dockerfile", &dockerfile);
    here.write(".dockerignore", "*");
    here.rbuild(&["build", "--locked", "."])
        .ended_with(1)
        .saying("rbuild.lock: no such file; build with --lock");
    here.rbuild(&["build", "--lock", "-t", "first", "."]).succeeded();
    let lock = lock_of(&here);
    assert!(
        lock["images"][&base]["digest"].as_str().is_some_and(|text| text.starts_with("sha256:")),
        "{lock}"
    );
    let url = format!("{}/data", server.url());
    assert!(lock["urls"][&url].as_str().is_some_and(|text| text.starts_with("sha256:")), "{lock}");

    // Everything moves on, and the lock does not.
    publish(&team, &base, "new");
    let there = Sandbox::new();
    there.write("Dockerfile", &dockerfile);
    there.write(".dockerignore", "*");
    there.write("rbuild.lock", std::fs::read(here.path("rbuild.lock")).expect("the lock"));
    there.rbuild(&["build", "--locked", "-t", "first", "."]).succeeded();
    let id = |sandbox: &Sandbox, name: &str| {
        sandbox.rbuild(&["inspect", "--format", "{{json .RootFS.Layers}}", name]).succeeded().stdout
    };
    assert_eq!(id(&there, "first"), id(&here, "first"));
    let Some(offline) = build_offline(&there, &["--locked", "-t", "offline"]) else { return };
    offline.succeeded();
    assert_eq!(id(&there, "offline"), id(&here, "first"));

    // Who asks is told.
    let moved = there.rbuild(&["build", "--locked", "--pull", "."]).ended_with(1);
    moved.saying("is no longer what").saying("--update");
    team.write("web/data", "new");
    let elsewhere = Sandbox::new();
    elsewhere.write("Dockerfile", &dockerfile);
    elsewhere.write("rbuild.lock", std::fs::read(here.path("rbuild.lock")).expect("the lock"));
    elsewhere.rbuild(&["build", "--locked", "."]).ended_with(1).saying(&format!("{url} is no longer what"));

    // Renewed.
    there.rbuild(&["build", "--update", "-t", "second", "."]).succeeded();
    let renewed = lock_of(&there);
    assert_ne!(renewed["images"][&base]["digest"], lock["images"][&base]["digest"]);
    assert_ne!(renewed["urls"][&url], lock["urls"][&url]);
    assert_ne!(id(&there, "second"), id(&there, "first"));
}

#[test]
fn what_is_not_in_the_lock_is_refused() {
    let sandbox = Sandbox::with_busybox();
    sandbox.write("rbuild.lock", r#"{"version": 1}"#);
    let refused = sandbox.build("FROM busybox\n", &["--locked"]).ended_with(1);
    refused.saying("docker.io/library/busybox:latest is not in").saying("--lock").saying("Dockerfile:1");
    for (text, why) in
        [("{", "EOF"), (r#"{"version": 2}"#, "its version is 2"), (r#"{"version": 1, "x": 1}"#, "x")]
    {
        sandbox.write("rbuild.lock", text);
        sandbox
            .build("FROM scratch\n", &["--locked"])
            .ended_with(1)
            .saying("failed to read the lock")
            .saying(why);
    }
    sandbox.rbuild(&["build", "--locked", "--update", "."]).ended_with(125);
    sandbox
        .rbuild_with_input(&["build", "--lock", "-"], b"FROM scratch\n")
        .ended_with(125)
        .saying("--lock-file");
    // An image of this store alone is locked by its ID. No registry is asked that is not there.
    let local = "127.0.0.1:1/local:1";
    sandbox.rbuild(&["tag", "busybox", local]).succeeded();
    std::fs::remove_file(sandbox.path("rbuild.lock")).expect("the lock");
    let dockerfile = format!("FROM {local}\nWORKDIR /x\n");
    sandbox.build(&dockerfile, &["--lock"]).succeeded().saying("without a digest to pull it by");
    let entry = &lock_of(&sandbox)["images"][local];
    assert!(
        entry.get("digest").is_none() && entry["ids"].as_object().is_some_and(|ids| ids.len() == 1),
        "{entry}"
    );
    sandbox.build(&dockerfile, &["--locked"]).succeeded();
    sandbox.rbuild(&["rmi", "-f", local, "busybox"]).succeeded();
    sandbox.rbuild(&["image", "prune", "-af"]).succeeded();
    sandbox
        .build(&dockerfile, &["--locked"])
        .ended_with(1)
        .saying("is not in the store, and it is not known where");
}

/// `git daemon` over a folder; it ends with this value.
struct Daemon(Child, String);

impl Daemon {
    fn start(folder: &Path) -> Option<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let mut command = Command::new("git");
        command.args(["daemon", "--reuseaddr", "--listen=127.0.0.1", "--export-all"]);
        command.arg(format!("--port={port}")).arg(format!("--base-path={}", folder.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("SKIP git is not installed");
            return None;
        };
        let mut daemon = Self(child, format!("git://127.0.0.1:{port}"));
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if daemon.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                println!("SKIP this git has no daemon");
                return None;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "git daemon does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked to end, it takes its children with it.
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

fn commit(folder: &Path, text: &str) {
    std::fs::write(folder.join("file"), text).expect("a file");
    for args in [&["add", "."][..], &["commit", "-q", "-m", "one"]] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgSign=false"]).args(args);
        assert!(git.current_dir(folder).status().expect("git").success(), "git {args:?}");
    }
}

#[test]
fn a_branch_stays_where_it_was() {
    let sandbox = Sandbox::new();
    let repository = sandbox.work().join("repos/a.git");
    std::fs::create_dir_all(&repository).expect("a folder");
    let made = Command::new("git").args(["init", "-q", "-b", "main", "."]).current_dir(&repository).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("SKIP git is not installed");
        return;
    }
    commit(&repository, "one");
    let Some(daemon) = Daemon::start(&sandbox.work().join("repos")) else { return };
    let url = format!("{}/a.git#main", daemon.1);
    sandbox.write("c/Dockerfile", format!("FROM scratch\nADD {url} /\n"));
    let file = |expected: &str, args: &[&str]| {
        sandbox.rbuild(&[&["build", "-o", "out"], args, &["c"]].concat()).succeeded();
        assert_eq!(std::fs::read_to_string(sandbox.path("out/file")).expect("the file"), expected);
        std::fs::remove_dir_all(sandbox.path("out")).expect("the output");
    };
    file("one", &["--lock-file", "the.lock"]);
    commit(&repository, "two");
    file("one", &["--lock-file", "the.lock", "--locked"]);
    file("two", &[]);
    file("two", &["--lock-file", "the.lock", "--update"]);
    file("two", &["--lock-file", "the.lock", "--locked"]);
    drop(daemon);
    file("two", &["--lock-file", "the.lock", "--locked"]);
}
