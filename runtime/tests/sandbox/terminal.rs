//! Programs with a terminal.

use std::fs::File;
use std::io::Read;

use rbuild_runtime::sandbox::{Spec, Stdio, spawn};
use rbuild_runtime::tty;

use super::Test;
use super::support::Rootfs;

pub(crate) const TESTS: &[Test] = &[("a_terminal", a_terminal)];

fn a_terminal(rootfs: &Rootfs) {
    let script = "tty; stty size; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; read go; stty size; [ -c /dev/console ] && echo console";
    let spec = Spec { terminal: Some(tty::WindowSize { rows: 20, columns: 90 }), ..rootfs.shell(script) };
    let mut child = spawn(&spec, Stdio::inherit()).unwrap();
    let mut pty = File::from(child.take_pty().unwrap());
    let mut output = Vec::new();
    while !output.ends_with(b"all\r\n") {
        let mut byte = [0];
        pty.read_exact(&mut byte).unwrap();
        output.extend(byte);
    }
    tty::set_window_size(&pty, tty::WindowSize { rows: 30, columns: 100 }).unwrap();
    std::io::Write::write_all(&mut pty, b"go\n").unwrap();
    // A pty whose other end is closed gives EIO instead of an end.
    let mut buffer = [0; 1024];
    while let Ok(count) = pty.read(&mut buffer) {
        output.extend(&buffer[..count]);
    }
    assert!(child.wait().unwrap().success());
    let output = String::from_utf8_lossy(&output).replace("go\r\n", "");
    assert_eq!(output, "/dev/pts/0\r\n20 90\r\nall\r\n30 100\r\nconsole\r\n");
}
