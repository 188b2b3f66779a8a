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

/// A terminal, of which rbuild has the other end.
struct Terminal {
    master: std::fs::File,
    child: std::process::Child,
    seen: String,
}

impl Terminal {
    fn start(sandbox: &Sandbox, script: &str) -> Self {
        let pty = nix::pty::openpty(Some(&size(33, 99)), None).expect("a pty");
        let stream = || std::process::Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let mut command = sandbox.command(&["run", "--rm", "-it", "busybox", "sh", "-c", script]);
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().expect("rbuild starts");
        Self { master: pty.master.into(), child, seen: String::new() }
    }

    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let mut buffer = [0; 256];
        while !self.seen.contains(text) {
            let count = std::io::Read::read(&mut self.master, &mut buffer).unwrap_or(0);
            assert!(count > 0, "{text:?} does not come: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    fn write(&mut self, text: &str) {
        std::io::Write::write_all(&mut self.master, text.as_bytes()).expect("the terminal takes it");
    }
}

fn size(rows: u16, columns: u16) -> nix::pty::Winsize {
    nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

#[test]
fn a_terminal_with_its_size_and_its_keys() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    // A signal that comes between two of its commands the shell would notice with the next line only.
    let script = "stty size; trap 'stty size' WINCH; trap 'echo interrupted' INT; echo ready; \
         while :; do read -t 1 line && echo got $line && [ $line = bye ] && exit 3; done";
    let mut terminal = Terminal::start(&sandbox, script);
    terminal.wait_for("33 99");
    terminal.wait_for("ready");
    // Ctrl-C is for the program in the container; rbuild does not end.
    terminal.write("\x03");
    terminal.wait_for("interrupted");
    let set = std::process::Command::new("stty")
        .args(["rows", "40", "cols", "120"])
        .stdin(terminal.master.try_clone().expect("a descriptor"))
        .status();
    assert!(set.expect("stty starts").success());
    let resized =
        std::process::Command::new("kill").args(["-WINCH", &terminal.child.id().to_string()]).status();
    assert!(resized.expect("kill starts").success());
    terminal.write("one\r");
    terminal.wait_for("40 120");
    terminal.write("bye\r");
    terminal.wait_for("got bye");
    assert_eq!(terminal.child.wait().expect("it ends").code(), Some(3), "{}", terminal.seen);
    sandbox
        .rbuild(&["run", "--rm", "-it", "busybox", "true"])
        .ended_with(1)
        .saying("the input device is not a TTY");
}

#[test]
fn programs_get_the_limit_of_open_files_that_rbuild_was_given() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let line = format!("ulimit -Sn 300; {} run --rm busybox sh -c 'ulimit -n'", env!("CARGO_BIN_EXE_rbuild"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).env_clear();
    for (name, value) in sandbox.command(&[]).get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    crate::support::Outcome::of(shell, &["run"]).succeeded().printing("300\n");
}
