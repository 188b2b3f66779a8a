//! How a call of rbuild ended.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use serde_json::Value;

/// What a call printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Outcome {
    call: String,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    /// Exit code; 128+n after signal n.
    pub(crate) code: i32,
    /// Standard output as it came.
    pub(crate) bytes: Vec<u8>,
}

impl Outcome {
    /// Runs the command to its end.
    pub(crate) fn of(mut command: Command, args: &[&str]) -> Self {
        let output = command.output().expect("rbuild starts");
        let code = output.status.code().or_else(|| output.status.signal().map(|s| 128 + s));
        Self {
            call: format!("rbuild {}", args.join(" ")),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: code.expect("an exit code or a signal"),
            bytes: output.stdout,
        }
    }

    /// Exit code 0, or the test fails and shows everything.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    /// That exit code.
    #[track_caller]
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Standard error has that text.
    #[track_caller]
    pub(crate) fn saying(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "standard error lacks {text:?}\n{self}");
        self
    }

    /// Standard output, exactly.
    #[track_caller]
    pub(crate) fn printing(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "{self}");
        self
    }

    /// The objects of `--progress=json`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}\n{self}"));
        self.stderr.lines().map(parse).collect()
    }

    /// Instruction and status of every step, from `--progress=json`.
    #[track_caller]
    pub(crate) fn steps(&self) -> Vec<(String, String)> {
        let text = |v: &Value| v.as_str().expect("text").to_owned();
        let events = self.events();
        events
            .iter()
            .filter(|e| e["type"] == "step")
            .map(|e| (text(&e["instruction"]), text(&e["status"])))
            .collect()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { call, stdout, stderr, code, .. } = self;
        write!(f, "$ {call}\nexit code {code}\n--- standard output\n{stdout}\n--- standard error\n{stderr}")
    }
}
