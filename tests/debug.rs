//! Looking into builds: shells where steps failed, containers of steps, differences.

use std::io::{Read, Write};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Outcome, Sandbox};

/// Of busybox's shell, for root.
const PROMPT: &[u8] = b"/ # ";

/// Fails with everything that a step can have around it.
const FAILS: &str = "FROM busybox AS base\nRUN echo base > /base\nFROM base\nARG A=arg\nENV E=env\nWORKDIR /w\n\
    SHELL [\"/bin/sh\", \"-e\", \"-c\"]\n\
    RUN --mount=type=cache,target=/c --mount=type=bind,from=base,source=/base,target=/bound \
    --mount=type=tmpfs,target=/t --mount=type=secret,id=s,env=SECRET \
    echo said; echo left > /left; rm /base; test -f /fixed\n";

fn secret(sandbox: &Sandbox) -> String {
    sandbox.write("secret", "sesame");
    format!("id=s,src={}", sandbox.path("secret"))
}

fn failed_folders(sandbox: &Sandbox) -> usize {
    std::fs::read_dir(sandbox.store().join("v1/failed")).map_or(0, Iterator::count)
}

/// Runs rbuild on a terminal of its own, on which `typed` is typed when a shell asks for it. None, said aloud, without the program that makes one.
fn on_terminal(sandbox: &Sandbox, args: &str, typed: &str) -> Option<(String, i32)> {
    let rbuild = env!("CARGO_BIN_EXE_rbuild");
    let mut command = sandbox.command(&[]);
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &format!("{rbuild} {args}"), "/dev/null"]).current_dir(sandbox.work()).env_clear();
    for (name, value) in command.env("TERM", "xterm").get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    let started = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = started else {
        println!("SKIP there is no program script on this machine, which makes terminals");
        return None;
    };
    let mut input = child.stdin.take().expect("it is a pipe");
    let mut output = child.stdout.take().expect("it is a pipe");
    let (mut shown, mut piece, mut is_asked) = (Vec::new(), [0; 4096], false);
    loop {
        let count = output.read(&mut piece).expect("the terminal can be read");
        shown.extend_from_slice(&piece[..count]);
        if count == 0 {
            break;
        }
        // What is typed before the shell reads is thrown away, as on every terminal that changes its mode.
        if !is_asked && shown.windows(PROMPT.len()).any(|it| it == PROMPT) {
            input.write_all(typed.as_bytes()).expect("it reads");
            is_asked = true;
        }
    }
    let code = child.wait().expect("it ends").code().expect("a code");
    Some((String::from_utf8_lossy(&shown).into_owned(), code))
}

#[test]
fn a_failed_step_can_be_entered_as_it_was_but_without_secrets() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let secret = secret(&sandbox);
    sandbox.build(FAILS, &["--secret", &secret]).ended_with(1);
    let shell = |script: &str| sandbox.rbuild(&["shell", "last", "sh", "-c", script]).succeeded().stdout;
    assert_eq!(
        shell("cat /left; ls /base 2>/dev/null; cat /bound; pwd; echo $A $E"),
        "left\nbase\n/w\narg env\n"
    );
    assert_eq!(shell("env | grep -c sesame; cat /run/secrets/s 2>/dev/null; echo $SECRET"), "0\n\n");
    // What is changed stays, but nothing gets into a cache or a layer.
    shell("echo seen > /c/file; echo more > /left; echo x > /t/x");
    assert_eq!(shell("cat /left; ls /c /t"), "more\n/c:\n\n/t:\n");
    let step = sandbox.rbuild(&["shell", "last:3", "sh", "-c", "exit 5"]).ended_with(5);
    assert!(step.stderr.is_empty(), "{step}");
    sandbox.rbuild(&["shell", "last:2"]).ended_with(1).saying("no failed step is kept");
    assert!(
        sandbox
            .rbuild(&["diff", "step:3"])
            .succeeded()
            .stdout
            .contains("A -rw-r--r-- 0:0           5B /left\n")
    );
    sandbox.rbuild(&["run", "--rm", "step:3", "true"]).ended_with(125).saying("rbuild shell");
    let used = sandbox.rbuild(&["system", "df", "-v"]).succeeded().stdout;
    assert!(used.contains("failed [stage-1 2/2] RUN"), "{used}");
    // The next build of the Dockerfile takes its place, whatever comes of it.
    sandbox.build(&FAILS.replace("test -f /fixed", "true"), &["--secret", &secret]).succeeded();
    assert_eq!(failed_folders(&sandbox), 0);
    sandbox.rbuild(&["fsck"]).succeeded();
}

#[test]
fn a_copy_that_failed_is_looked_at_from_where_it_started() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = "FROM busybox\nWORKDIR /w\nUSER 7\nRUN id -u > /tmp/id\nCOPY missing /x\n";
    sandbox.build(dockerfile, &["--debug"]).ended_with(1).saying("--debug needs a terminal");
    let looked = ["shell", "last", "sh", "-c", "pwd; id -u; cat /tmp/id"];
    sandbox.rbuild(&looked).succeeded().printing("/w\n7\n7\n");
    // Its layers stay while it does.
    sandbox.rbuild(&["cache", "prune", "-af", "--filter", "type=regular"]).succeeded();
    sandbox.rbuild(&looked).succeeded().printing("/w\n7\n7\n");
    let out = sandbox.build(dockerfile, &["--debug=cat /tmp/id; exit 9"]).ended_with(1);
    assert_eq!(out.stdout, "7\n", "{out}");
    sandbox.rbuild(&["system", "prune", "-f"]).succeeded();
    assert_eq!(failed_folders(&sandbox), 0);
    sandbox.rbuild(&["shell"]).ended_with(1).saying("no failed step is kept");
}

#[test]
fn debug_opens_a_shell_on_the_terminal() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("Dockerfile", "FROM busybox\nENV WHERE=inside\nRUN echo left > /left; exit 4\n");
    let typed = "tty; echo I am $WHERE; cat /left; exit 0\n";
    let Some((shown, code)) = on_terminal(&sandbox, "build --debug .", typed) else { return };
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("I am inside\r\nleft\r\n") && shown.contains("/dev/pts/"), "{shown}");
    let Some((shown, code)) = on_terminal(&sandbox, "shell", "exit 6\n") else { return };
    assert_eq!(code, 6, "{shown}");
    // Nobody asked for a shell: it is only mentioned.
    let Some((shown, code)) = on_terminal(&sandbox, "build .", "") else { return };
    assert!(code == 1 && shown.contains("rbuild shell opens a shell where it failed"), "{shown}");
}

#[test]
fn steps_can_be_run_with_the_configuration_that_they_had() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = "FROM busybox AS one\nENV V=early\nRUN echo 1 > /file\nFROM one\nUSER 5\nWORKDIR /w\n\
        CMD [\"sh\", \"-c\", \"echo $V $(id -u) $(pwd) $(cat /file)\"]\nRUN echo 2 > /tmp/two\nENV V=late\nUSER 6\n\
        RUN true\n";
    sandbox.build(dockerfile, &["-t", "app"]).succeeded();
    let run = |step: &str| sandbox.rbuild(&["run", "--rm", step]).succeeded().stdout;
    assert_eq!((run("step:3"), run("step:4")), ("early 5 /w 1\n".into(), "late 6 /w 1\n".into()));
    // Also when the Dockerfile is another one by now, and the build is a cached one.
    sandbox.build(dockerfile, &[]).succeeded();
    sandbox.write("Dockerfile", "FROM scratch\n");
    assert_eq!(run("step:3"), "early 5 /w 1\n");
    sandbox.rbuild(&["run", "--rm", "step:1", "cat", "/file"]).succeeded().printing("1\n");
    sandbox.rbuild(&["run", "--rm", "step:9"]).ended_with(125).saying("has no step 9, but 4");
    sandbox.rbuild(&["run", "--rm", "step:x"]).ended_with(125).saying("names no step");
    // An image may be called so.
    sandbox.rbuild(&["tag", "app", "step:1"]).succeeded();
    assert_eq!(run("step:1"), "late 6 /w 1\n");
}

/// Letter, path and what differs, of `--format json`.
fn changes(outcome: &Outcome) -> Vec<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parse =
        |line: &str| -> Value { serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")) };
    let objects = outcome.stdout.lines().map(parse);
    objects
        .map(|object| {
            let differs = object["differs"].as_array().into_iter().flatten().map(text).collect();
            (text(&object["change"]), text(&object["path"]), differs)
        })
        .filter(|(_, path, _)| !matches!(path.as_str(), "/dev" | "/proc" | "/sys" | "/etc" | "/"))
        // Where a container gets what the host has.
        .filter(|(_, path, _)| !matches!(path.as_str(), "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf"))
        .collect()
}

#[test]
fn differences_of_images_steps_and_containers() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = "FROM busybox\nRUN mkdir -p /d/gone /d/stays && echo a > /d/same && echo b > /d/bytes && \
        echo c > /d/mode && ln -s x /d/link && echo d > /d/turns && echo e > /d/gone/e\n\
        RUN echo B > /d/bytes && chmod 600 /d/mode && ln -sf y /d/link && rm -r /d/gone /d/turns && mkdir /d/turns \
        && echo new > /d/turns/new && touch -d @0 /d/same && chown 3 /d/stays\n";
    sandbox.build(dockerfile, &["-t", "app"]).succeeded();
    let expected = [
        ("C", "/d/bytes", &["content"][..]),
        ("D", "/d/gone", &[]),
        ("C", "/d/link", &["content"]),
        ("C", "/d/mode", &["mode"]),
        ("C", "/d/stays", &["owner"]),
        ("C", "/d/turns", &["kind", "mode"]),
        ("A", "/d/turns/new", &[]),
    ];
    let owned = |(letter, path, differs): &(&str, &str, &[&str])| {
        let differs = differs.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        ((*letter).to_owned(), (*path).to_owned(), differs)
    };
    let expected: Vec<_> = expected.iter().map(owned).collect();
    for sides in [&["step:2"][..], &["step:1", "app"], &["step:1", "step:2"]] {
        let out = sandbox.rbuild(&[&["diff", "--format", "json"], sides].concat()).succeeded();
        assert_eq!(changes(&out), expected, "{out}");
    }
    let timed = sandbox.rbuild(&["diff", "--times", "--format", "json", "step:2"]).succeeded();
    let same = changes(&timed).into_iter().find(|(_, path, _)| path == "/d/same");
    assert_eq!(same.map(|(_, _, differs)| differs), Some(vec!["mtime".to_owned()]), "{timed}");
    // An archive of the same image, and an image against what it was built from.
    sandbox.rbuild(&["save", "-o", "app.tar", "app"]).succeeded();
    sandbox.rbuild(&["diff", "--exit-code", "./app.tar", "app"]).ended_with(0).printing("");
    assert!(
        changes(&sandbox.rbuild(&["diff", "--format", "json", "app"])).iter().all(|(kind, ..)| kind == "A")
    );
    sandbox.rbuild(&["diff", "--exit-code", "busybox", "app"]).ended_with(1);
    sandbox.rbuild(&["run", "--name", "box", "app", "sh", "-c", "echo x > /in; rm /d/same"]).succeeded();
    let of_container = changes(&sandbox.rbuild(&["diff", "--format", "json", "box"]).succeeded());
    assert_eq!(
        of_container.iter().map(|(c, p, _)| (c.as_str(), p.as_str())).collect::<Vec<_>>(),
        [("D", "/d/same"), ("A", "/in")]
    );
    // What is there because the container was started is nobody's change.
    sandbox.rbuild(&["run", "--name", "plain", "busybox", "touch", "/in"]).succeeded();
    let of_plain = changes(&sandbox.rbuild(&["diff", "--format", "json", "plain"]).succeeded());
    assert_eq!(of_plain, [("A".to_owned(), "/in".to_owned(), Vec::new())]);
    sandbox.rbuild(&["diff", "nothing"]).ended_with(1).saying("No such image: nothing");
    sandbox.rbuild(&["diff", "busybox"]).ended_with(1).saying("name both");
}
