//! What RUN steps get beyond files: SSH agents, devices, capabilities, networks.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Sandbox;

const SHOW: &str =
    "FROM busybox\nRUN --mount=type=ssh,mode=0640,id=a ls -ln $SSH_AUTH_SOCK && echo at $SSH_AUTH_SOCK\n";

#[test]
fn a_socket_of_the_steps_own() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let _agent = UnixListener::bind(sandbox.path("agent.sock")).expect("a socket");
    let plain = ["--progress=plain", "--ssh", "a=agent.sock"];
    let shown = sandbox.build(SHOW, &plain).succeeded().saying("at /run/buildkit/ssh_agent.0");
    assert!(shown.stderr.contains(" srw-r----- "), "{shown}");
    // Nothing of it is in the layer.
    let after = format!("{SHOW}RUN ls /run/buildkit\n");
    sandbox.build(&after, &plain).ended_with(1).saying("/run/buildkit: No such file");

    let required = "FROM busybox\nRUN --mount=type=ssh,required,target=/a/b test -S /a/b\n";
    sandbox.build(required, &["--ssh", "default=agent.sock"]).succeeded();
    sandbox.build(required, &["--no-cache"]).ended_with(1).saying("--ssh default").saying("Dockerfile:2");
    let optional =
        "FROM busybox\nRUN --mount=type=ssh test -n \"$SSH_AUTH_SOCK\" && test ! -e $SSH_AUTH_SOCK\n";
    sandbox.build(optional, &[]).succeeded();

    sandbox.build(optional, &["--ssh", "default"]).ended_with(1).saying("make sure SSH_AUTH_SOCK is set");
    sandbox.build(optional, &["--ssh", "a=nothing"]).ended_with(1).saying("nothing: No such file");
    sandbox
        .build(optional, &["--ssh", "a=agent.sock,Dockerfile"])
        .ended_with(1)
        .saying("only a single socket");
}

/// Puts a program of this machine, and the libraries that it needs, below `root`.
fn lend(program: &Path, root: &Path) {
    let needed = Command::new("ldd").arg(program).output().expect("ldd starts");
    let needed = String::from_utf8_lossy(&needed.stdout).into_owned();
    let libraries = needed.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
    for file in libraries.chain([program]) {
        let copy = root.join(file.strip_prefix("/").expect("an absolute path"));
        std::fs::create_dir_all(copy.parent().expect("it is in a folder")).expect("folders");
        std::fs::copy(file, copy).expect("a copy");
    }
}

#[test]
fn keys_of_a_real_agent() {
    let ssh_add = Path::new("/usr/bin/ssh-add");
    if !ssh_add.exists() {
        println!("SKIP OpenSSH is not installed");
        return;
    }
    let Some(sandbox) = Sandbox::with_containers() else { return };
    lend(ssh_add, &sandbox.work().join("root"));
    let key = sandbox.path("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "the key", "-f", &key])
        .status();
    assert!(made.expect("ssh-keygen starts").success());
    let dockerfile = "FROM busybox\nCOPY root /\n\
         RUN --mount=type=ssh,required ssh-add -l; ssh-add -D; ssh-add -l && ssh-add -T /key.pub || true\n\
         RUN --mount=type=ssh,required,mode=0666 ssh-add -l | grep -c 'the key' | sed 's/^/keys: /'\n";
    // A key in a file, for which rbuild starts an agent that ends with the build.
    let outcome = sandbox.build(dockerfile, &["--progress=plain", "--ssh", "default=key"]).succeeded();
    let outcome = outcome.saying("Failed to remove all identities").saying("keys: 1");
    assert!(outcome.stderr.contains("the key (ED25519)"), "{outcome}");

    // The user's own agent.
    let mut command = Command::new("ssh-agent");
    command.args([
        "sh",
        "-c",
        "ssh-add -q key 2>&1; echo $SSH_AUTH_SOCK; cat > /dev/null; kill $SSH_AGENT_PID",
    ]);
    command.current_dir(sandbox.work()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut agent = command.spawn().expect("ssh-agent starts");
    let mut socket = String::new();
    BufReader::new(agent.stdout.take().expect("a pipe")).read_line(&mut socket).expect("its socket");
    let args = ["build", "--no-cache", "--progress=plain", "--ssh", "default", "."];
    let mut build = sandbox.command(&args);
    build.env("SSH_AUTH_SOCK", socket.trim_end());
    let outcome = crate::support::Outcome::of(build, &args);
    drop(agent.stdin.take());
    agent.wait().expect("it ends");
    outcome.succeeded().saying("keys: 1");

    sandbox
        .build(dockerfile, &["--ssh", "default=Dockerfile"])
        .ended_with(1)
        .saying("a key could not be read");
}

#[test]
fn repositories_behind_ssh_are_fetched_with_the_same_keys() {
    let sandbox = Sandbox::new();
    let _agent = UnixListener::bind(sandbox.path("agent.sock")).expect("a socket");
    let socket = sandbox.path("agent.sock");
    sandbox.write("Dockerfile", "FROM scratch\nADD ssh://git@127.0.0.1/x.git /\n");
    let args = ["build", "--ssh", &format!("default={socket}"), "."];
    let mut build = sandbox.command(&args);
    build.env("GIT_SSH_COMMAND", "echo \"with $SSH_AUTH_SOCK\" >&2; false").env("SSH_AUTH_SOCK", "/nowhere");
    crate::support::Outcome::of(build, &args).ended_with(1).saying(&format!("with {socket}"));
}

#[test]
fn what_has_to_be_allowed() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile = "FROM busybox\nRUN touch /before\nRUN --security=insecure grep -E 'Cap(Inh|Eff|Amb)|Seccomp:' \
         /proc/self/status; mount | grep ' /sys ' ; true\nRUN --network=host true\n";
    let refused = sandbox.build(dockerfile, &["--progress=plain"]).ended_with(1);
    let refused = refused.saying("security.insecure is not allowed").saying("network.host is not allowed");
    let refused = refused.saying("--allow security.insecure").saying("Dockerfile:3").saying("Dockerfile:4");
    assert!(!refused.stderr.contains("touch /before\n#"), "nothing ran before: {refused}");

    sandbox.build(dockerfile, &["--allow", "security.insecure"]).ended_with(1).saying("network.host");
    let allowed = ["--progress=plain", "--allow", "security.insecure", "--network", "host"];
    let outcome = sandbox.build(dockerfile, &allowed).succeeded().saying("/sys type sysfs (rw");
    let status = |name: &str| {
        let line = outcome.stderr.lines().find(|line| line.contains(&format!(" {name}\t")));
        line.and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned()
    };
    // With a single id there is a filter all the same: calls about owners and ids are answered by rbuild.
    let has_one_id = sandbox.rbuild(&["info"]).stdout.contains("single id");
    assert_eq!(status("Seccomp:"), if has_one_id { "2" } else { "0" }, "{outcome}");
    assert_eq!(status("CapEff:"), status("CapInh:"), "{outcome}");
    assert_eq!(status("CapEff:"), status("CapAmb:"), "{outcome}");
    let own = std::fs::read_to_string("/proc/self/status").expect("it is there");
    let bound = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).expect("its bounds");
    let bits = |text: &str| u64::from_str_radix(text, 16).expect("a number");
    assert_eq!(bits(&status("CapEff:")) & bits(bound), bits(bound), "all that there are: {outcome}");

    sandbox
        .build("FROM busybox\nRUN --device=vendor/class=x true\n", &[])
        .ended_with(1)
        .saying("device feature");
}
