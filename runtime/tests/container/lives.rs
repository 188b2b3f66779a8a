//! What containers are while they live.

use std::io::{Read, Write};
use std::process::Stdio;

use rbuild_image::config::ContainerConfig;
use rbuild_runtime::container::{RunSettings, Tmpfs, Volume, VolumeSource};
use rbuild_runtime::sandbox::Network;

use super::Test;
use super::support::{Ground, image, script};

pub(crate) const TESTS: &[Test] = &[
    ("identity", identity),
    ("image_and_settings", image_and_settings),
    ("standard_input", standard_input),
    ("much_output", much_output),
    ("volumes", volumes),
    ("anonymous_volumes", anonymous_volumes),
    ("a_terminal", a_terminal),
];

fn identity(ground: &Ground) {
    let settings = RunSettings {
        network: Network::None,
        ..script(
            "hostname; cat /etc/hostname; echo $HOSTNAME $HOME $PWD; head -n 1 /etc/hosts; echo x >> /etc/hosts",
        )
    };
    let output = ground.output_of(&settings);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0].len(), 12);
    assert_eq!((lines[1], lines[2]), (lines[0], &*format!("{} /root /", lines[0])));
    assert_eq!(lines[3], "127.0.0.1\tlocalhost");
    let settings = RunSettings { hostname: Some("me".into()), ..script("hostname; echo $HOSTNAME") };
    assert_eq!(ground.output_of(&settings), "me\nme\n");
    ground.assert_clean();
}

fn image_and_settings(ground: &Ground) {
    let config = ContainerConfig {
        entrypoint: vec!["echo".into(), "in".into()],
        cmd: vec!["default".into()],
        ..image()
    };
    let say = |settings: RunSettings| {
        let output = ground.command(&RunSettings { remove: true, ..settings }, &config).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(say(RunSettings::default()), "in default\n");
    assert_eq!(say(RunSettings { command: vec!["x".into()], ..RunSettings::default() }), "in x\n");
    let settings = RunSettings {
        entrypoint: Some(vec!["/bin/pwd".into()]),
        workdir: Some("/made/here".into()),
        ..RunSettings::default()
    };
    assert_eq!(say(settings), "/made/here\n");
    let tmpfs = Tmpfs { target: "/t".into(), size: Some(1 << 20), mode: None, readonly: false };
    let settings = RunSettings {
        read_only: true,
        tmpfs: vec![tmpfs],
        env: vec![("A".into(), "1".into())],
        ..script("echo x > /t/x && echo $A; touch /new 2>/dev/null || echo refused")
    };
    assert_eq!(ground.output_of(&settings), "1\nrefused\n");
    ground.assert_clean();
}

fn standard_input(ground: &Ground) {
    // A file is pumped through a pipe, a pipe is handed over, and without -i there is nothing.
    let path = ground.beside("input");
    std::fs::write(&path, "from a file").unwrap();
    let attached = RunSettings { interactive: true, ..script("cat") };
    let mut command = ground.command(&attached, &image());
    let output = command.stdin(std::fs::File::open(&path).unwrap()).output().unwrap();
    assert_eq!(output.stdout, b"from a file");
    let mut child = ground.command(&attached, &image()).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"from a pipe");
    let mut command = ground.command(&script("cat; echo end"), &image());
    assert_eq!(command.stdin(std::fs::File::open(&path).unwrap()).output().unwrap().stdout, b"end\n");
    ground.assert_clean();
}

fn much_output(ground: &Ground) {
    let path = ground.beside("output");
    let settings = script("yes 0123456 | head -c 4000000; echo error >&2");
    let mut command = ground.command(&settings, &image());
    let output = command.stdout(std::fs::File::create(&path).unwrap()).output().unwrap();
    assert_eq!(output.stderr, b"error\n");
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 4_000_000);
    assert!(bytes.chunks(8).all(|line| line == b"0123456\n"));
    // A reader that goes away ends a program that never would.
    let mut child = ground.command(&script("yes"), &image()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    child.wait().unwrap();
    ground.assert_clean();
}

fn volumes(ground: &Ground) {
    let host = ground.beside("made/on/the/host");
    let volume = |source, target: &str, readonly| Volume { source, target: target.into(), readonly };
    let settings = RunSettings {
        volumes: vec![
            volume(VolumeSource::Host(host.clone()), "/h", false),
            volume(VolumeSource::Host(host.clone()), "/r", true),
            volume(VolumeSource::Named("data".into()), "/content", false),
        ],
        ..script(
            "echo x > /h/file; touch /r/y 2>/dev/null || echo refused; cat /content/file; echo; echo new >> /content/file",
        )
    };
    assert_eq!(ground.output_of(&settings), "refused\nof the image\n");
    assert_eq!(std::fs::read(host.join("file")).unwrap(), b"x\n");
    let again = RunSettings {
        volumes: vec![volume(VolumeSource::Named("data".into()), "/d", false)],
        ..script("cat /d/file")
    };
    assert_eq!(ground.output_of(&again), "of the imagenew\n");
    let wrong = RunSettings {
        volumes: vec![volume(VolumeSource::Named("../x".into()), "/d", false)],
        ..script("true")
    };
    assert_eq!(ground.run(&wrong).status.code(), Some(125));
    ground.assert_clean();
}

fn anonymous_volumes(ground: &Ground) {
    let config = ContainerConfig { volumes: ["/content", "/fresh"].map(str::to_owned).into(), ..image() };
    let settings = RunSettings {
        read_only: true,
        ..script(
            "cat /content/file; echo x > /content/file; echo x > /fresh/x; cat /content/file; ls /fresh; grep -c ' /content ' /proc/mounts",
        )
    };
    let output = ground.command(&settings, &config).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "of the imagex\nx\n1\n", "{output:?}");
    assert_eq!(ground.output_of(&script("cat /content/file")), "of the image");
    ground.assert_clean();
}

fn a_terminal(ground: &Ground) {
    let settings = RunSettings {
        tty: true,
        interactive: true,
        ..script("stty size; echo $TERM; read line; echo got $line; kill -WINCH $$; exit 3")
    };
    let output = ground.run(&settings);
    assert_eq!((output.status.code(), &*output.stderr), (Some(1), &b"the input device is not a TTY\n"[..]));

    let pty = nix::pty::openpty(None, None).unwrap();
    let size = rbuild_runtime::tty::WindowSize { rows: 33, columns: 99 };
    rbuild_runtime::tty::set_window_size(&pty.master, size).unwrap();
    let before = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
    let settings = RunSettings {
        command: settings.command.iter().map(|word| word.replace("stty", "sleep 0.2; stty")).collect(),
        ..settings
    };
    let mut command = ground.command(&settings, &image());
    let stream = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    let mut master = std::fs::File::from(pty.master);
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains("xterm") {
        let count = master.read(&mut buffer).unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(seen.contains("33 99"), "{seen}");
    assert_ne!(nix::sys::termios::tcgetattr(&pty.slave).unwrap().local_flags, before.local_flags);
    master.write_all(b"hello\r").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(nix::sys::termios::tcgetattr(&pty.slave).unwrap().local_flags, before.local_flags);
    while !seen.contains("got hello") {
        let count = master.read(&mut buffer).unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    ground.assert_clean();
}
