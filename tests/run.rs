//! `rbuild run`.

use crate::support::Sandbox;
use crate::support::sandbox::BUSYBOX;

#[test]
fn exit_codes_are_dockers() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    for (args, code) in [
        (&["busybox", "true"][..], 0),
        (&["busybox", "sh", "-c", "exit 7"], 7),
        (&["--init", "busybox", "sh", "-c", "kill -9 $$"], 137),
        (&["busybox", "no-such-program"], 127),
        (&["busybox", "/etc/passwd"], 126),
        (&["no-such-image"], 125),
        (&["-u", "nobody-like-that", "busybox", "true"], 125),
    ] {
        sandbox.rbuild(&[&["run", "--rm"], args].concat()).ended_with(code);
    }
}

#[test]
fn what_the_program_sees() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("shared/file", "from the host\n");
    let volume = format!("{}:/shared:ro", sandbox.path("shared"));
    let has_one_id = sandbox.rbuild(&["info"]).succeeded().stdout.contains("single id");
    for (args, want) in [
        (&["-e", "A=b c", "busybox", "sh", "-c", "echo $A"][..], "b c\n"),
        (&["-w", "/tmp", "busybox", "pwd"], "/tmp\n"),
        (&["-u", "1234:5", "busybox", "sh", "-c", "id -u; id -g"], "1234\n5\n"),
        (&["--hostname", "box", "busybox", "hostname"], "box\n"),
        (&["--entrypoint", "echo", "busybox", "said"], "said\n"),
        (&["-v", &volume, "busybox", "cat", "/shared/file"], "from the host\n"),
        (&["--network", "none", "busybox", "sh", "-c", "ls /sys/class/net"], "lo\n"),
        (&[BUSYBOX, "echo", "of an archive"], "of an archive\n"),
    ] {
        if has_one_id && args.contains(&"1234:5") {
            println!("SKIP run -u 1234:5: this user has a single id");
            continue;
        }
        sandbox.rbuild(&[&["run", "--rm"], args].concat()).succeeded().printing(want);
    }
    sandbox.rbuild(&["run", "--rm", "-v", &volume, "busybox", "touch", "/shared/new"]).ended_with(1);
    sandbox.rbuild(&["run", "--rm", "--read-only", "busybox", "touch", "/new"]).ended_with(1);
}

#[test]
fn standard_input_is_handed_on_when_asked() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox
        .rbuild_with_input(&["run", "--rm", "-i", "busybox", "cat"], b"line\n")
        .succeeded()
        .printing("line\n");
    sandbox.rbuild_with_input(&["run", "--rm", "busybox", "cat"], b"line\n").succeeded().printing("");
}
