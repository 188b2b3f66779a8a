//! How containers end, and what stays of them.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rbuild_runtime::container::{self, ContainerError, Listed, RunSettings, State};
use rbuild_runtime::signals;

use super::Test;
use super::support::{Ground, image, script};

pub(crate) const TESTS: &[Test] = &[
    ("exit_codes", exit_codes),
    ("signals_are_forwarded", signals_are_forwarded),
    ("a_container_that_stays", a_container_that_stays),
    ("names_are_unique", names_are_unique),
    ("killed_rbuilds_leave_nothing", killed_rbuilds_leave_nothing),
    ("interrupts_become_calls", interrupts_become_calls),
];

fn command(words: &[&str]) -> RunSettings {
    RunSettings {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        remove: true,
        ..RunSettings::default()
    }
}

/// Starts a script and waits until it says `ready`.
fn ready(ground: &Ground, settings: &RunSettings) -> Child {
    let mut child = ground.command(settings, &image()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// The only container, once its state says that it runs: the program may speak before that is written down.
fn running(ground: &Ground) -> (Listed, u32) {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let mut listed = container::list(&ground.store).unwrap();
        assert_eq!(listed.len(), 1, "{listed:?}");
        let one = listed.remove(0);
        if let State::Running { pid, .. } = one.state {
            return (one, pid);
        }
        assert!(Instant::now() < end, "{one:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

fn exit_codes(ground: &Ground) {
    let table: &[(&[&str], i32)] = &[
        (&["true"], 0),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "kill -KILL $$; sleep 1; exit 9"], 9),
        (&["nothing-of-this-name"], 127),
        (&["/nothing"], 127),
        (&["/etc"], 126),
    ];
    for (words, expected) in table {
        assert_eq!(ground.run(&command(words)).status.code(), Some(*expected), "{words:?}");
    }
    let reaped = RunSettings { init: true, ..command(&["sh", "-c", "kill -KILL $$"]) };
    assert_eq!(ground.run(&reaped).status.code(), Some(137));
    let nobody = RunSettings { user: Some("nobody-at-all".into()), ..command(&["true"]) };
    assert_eq!(ground.run(&nobody).status.code(), Some(125));
    ground.assert_clean();
}

fn signals_are_forwarded(ground: &Ground) {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGQUIT] {
        let name = signal.as_str().trim_start_matches("SIG");
        let text = format!("trap 'exit 7' {name}; echo ready; while :; do sleep 0.05; done");
        let mut child = ready(ground, &script(&text));
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(7), "{signal}");
    }
    // With an init the program is not process 1, and a signal that it does not care for ends it.
    let mut child = ready(ground, &RunSettings { init: true, ..script("echo ready; sleep 60 & wait") });
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    ground.assert_clean();
}

fn a_container_that_stays(ground: &Ground) {
    let settings = RunSettings { remove: false, ..script("echo ready; sleep 0.3; exit 5") };
    let mut child = ready(ground, &settings);
    let (one, _) = running(ground);
    assert!(matches!(container::remove(&ground.store, &one.id), Err(ContainerError::Running(_))));
    let lines =
        std::fs::read_to_string(ground.store.path().join("containers").join(one.id.as_str()).join("layers"));
    assert_eq!(lines.unwrap(), format!("{}\n", ground.layers[0]));
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let listed = container::list(&ground.store).unwrap();
    assert!(matches!(listed[0].state, State::Exited { code: 5, finished: Some(_), .. }), "{listed:?}");
    assert_eq!((listed[0].image_name.as_str(), &listed[0].command), ("busybox", &settings.command));
    assert_eq!(container::sweep(&ground.store).unwrap(), 0);
    assert!(container::remove(&ground.store, &listed[0].id).unwrap());
    assert!(!container::remove(&ground.store, &listed[0].id).unwrap());
    let never = RunSettings { remove: false, ..command(&["nothing"]) };
    assert_eq!(ground.run(&never).status.code(), Some(127));
    let listed = container::list(&ground.store).unwrap();
    assert!(matches!(&listed[0].state, State::Created { error: Some(_) }), "{listed:?}");
    assert!(container::remove(&ground.store, &listed[0].id).unwrap());
    ground.assert_clean();
}

fn names_are_unique(ground: &Ground) {
    let named = |text| RunSettings { name: Some("web".into()), ..script(text) };
    let mut child = ready(ground, &named("echo ready; sleep 0.5"));
    let output = ground.run(&named("true"));
    assert_eq!(output.status.code(), Some(125));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("\"web\" is already in use"), "{message}");
    assert_eq!(container::list(&ground.store).unwrap()[0].name.as_deref(), Some("web"));
    assert!(child.wait().unwrap().success());
    assert!(ground.run(&named("true")).status.success());
    ground.assert_clean();
}

fn killed_rbuilds_leave_nothing(ground: &Ground) {
    let named = |text| RunSettings { name: Some("web".into()), ..script(text) };
    let kill_one = || {
        let mut child = ready(ground, &named("touch /x; echo ready; sleep 60"));
        let (_, pid) = running(ground);
        child.kill().unwrap();
        child.wait().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while std::path::Path::new(&format!("/proc/{pid}")).exists() {
            assert!(Instant::now() < end, "the container outlives its rbuild");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    kill_one();
    let listed = container::list(&ground.store).unwrap();
    assert!(matches!(listed[0].state, State::Exited { code: 137, finished: None, .. }), "{listed:?}");
    assert_eq!(container::sweep(&ground.store).unwrap(), 1);
    ground.store.sweep().unwrap();
    ground.assert_clean();
    // Whoever needs the name need not wait for a sweep.
    kill_one();
    assert!(ground.run(&named("true")).status.success());
    ground.store.sweep().unwrap();
    ground.assert_clean();
}

/// What `interrupts` in this program does: signals to itself, which do not end it as long as they are caught.
pub(crate) fn be_interrupted() -> ExitCode {
    let (sender, receiver) = std::sync::mpsc::channel();
    let interrupts = signals::interrupts(move |signal| sender.send(signal).unwrap()).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        kill(Pid::this(), signal).unwrap();
        assert_eq!(receiver.recv().unwrap(), signal);
    }
    drop(interrupts);
    assert!(receiver.recv().is_err());
    kill(Pid::this(), Signal::SIGTERM).unwrap();
    ExitCode::SUCCESS
}

fn interrupts_become_calls(_: &Ground) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let status = command.arg("interrupts").status().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(Signal::SIGTERM as i32), "{status:?}");
}
