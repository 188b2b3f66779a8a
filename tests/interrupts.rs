//! Builds that are ended from outside: by a signal in good order, by SIGKILL not.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Sandbox;

/// Ignores every signal that a program can ignore.
const STUBBORN: &str = "FROM busybox\nRUN trap '' TERM INT HUP; echo begun; while :; do sleep 1; done\n";

/// A build whose step has begun.
fn begun(sandbox: &Sandbox) -> Child {
    sandbox.write("Dockerfile", STUBBORN);
    let log = std::fs::File::create(sandbox.path("log")).expect("a file");
    let mut command = sandbox.command(&["build", "--progress=plain", "."]);
    let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("rbuild starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(sandbox.path("log"))
        .is_ok_and(|log| log.lines().any(|l| l.ends_with("begun")))
    {
        assert!(Instant::now() < deadline, "the step does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn kill(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.expect("kill starts").success());
}

#[test]
fn a_signal_ends_a_build_and_leaves_the_store_as_it_was() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let Some(sandbox) = Sandbox::with_containers() else { return };
        let mut child = begun(&sandbox);
        let before = std::fs::read_dir(sandbox.store().join("v1/layers")).expect("layers").count();
        kill(&child, signal);
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "{signal}");
        let after = std::fs::read_dir(sandbox.store().join("v1/layers")).expect("layers").count();
        assert_eq!(before, after, "{signal}");
        let log = std::fs::read_to_string(sandbox.path("log")).expect("the log");
        assert!(log.contains("the build was interrupted"), "{log}");
        sandbox.rbuild(&["fsck"]).succeeded();
        // The sandbox checks that no mount, process or temporary file is left.
    }
}

#[test]
fn a_build_that_waits_for_standard_input_can_be_interrupted() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["build", "-"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("rbuild starts");
    // Kept open: waiting for the child would close it, and an end of the input is an answer too.
    let _silent = child.stdin.take();
    // Nobody writes. If the signal comes before rbuild listens, it ends it just the same.
    std::thread::sleep(Duration::from_millis(300));
    kill(&child, "-INT");
    let status = child.wait().expect("it ends");
    assert!(status.code() == Some(130) || status.signal() == Some(2), "{status:?}");
}

#[test]
fn what_a_killed_build_left_is_swept_by_the_next_command() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let mut child = begun(&sandbox);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let temporary = || std::fs::read_dir(sandbox.store().join("v1/tmp")).expect("tmp").count();
    assert!(temporary() > 0);
    sandbox.rbuild(&["images"]).succeeded();
    assert_eq!(temporary(), 0);
    sandbox.rbuild(&["fsck"]).succeeded();
}

/// A server that takes connections, says `beginning`, and then nothing more. It says where it is, and when it was asked.
fn silent_server(beginning: &'static str) -> (String, std::sync::mpsc::Receiver<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let (asked, is_asked) = std::sync::mpsc::channel();
    // Ends with the test's process: it waits for connections until then.
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let _ = std::io::Write::write_all(&mut stream, beginning.as_bytes());
            open.push(stream);
            if asked.send(()).is_err() {
                return;
            }
        }
    });
    (address, is_asked)
}

#[test]
fn what_waits_for_a_server_can_be_interrupted() {
    const BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning";
    for (beginning, dockerfile) in [
        ("", "FROM SERVER/image\n"),
        ("", "FROM scratch\nADD http://SERVER/file /\n"),
        (BODY, "FROM scratch\nADD http://SERVER/file /\n"),
        ("", "FROM scratch\nADD http://SERVER/repository.git /\n"),
    ] {
        let sandbox = Sandbox::new();
        let (address, is_asked) = silent_server(beginning);
        let dockerfile = dockerfile.replace("SERVER", &address);
        sandbox.write("Dockerfile", &dockerfile);
        let log = std::fs::File::create(sandbox.path("log")).expect("a file");
        let mut command = sandbox.command(&["build", "--progress=plain", "."]);
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().expect("rbuild starts");
        is_asked.recv_timeout(Duration::from_secs(20)).expect("the server is asked");
        kill(&child, "-TERM");
        let deadline = Instant::now() + Duration::from_secs(10);
        let code = loop {
            match child.try_wait().expect("it can be waited for") {
                Some(status) => break status.code(),
                None => assert!(Instant::now() < deadline, "it goes on: {dockerfile}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let log = std::fs::read_to_string(sandbox.path("log")).expect("the log");
        assert_eq!(code, Some(143), "{dockerfile}{log}");
        assert!(log.contains("the build was interrupted"), "{log}");
        sandbox.rbuild(&["fsck"]).succeeded();
    }
}
