//! The output of steps: kept to the byte, in the order in which it was written, however it is shown.

use sha2::{Digest, Sha256};

use crate::support::Sandbox;

/// Lines of all lengths, bytes of all values, both streams.
const TALKS: &str = "FROM busybox\nCOPY noise /noise\nRUN cat /noise; i=0; while [ $i -lt 300 ]; do echo out $i; \
    echo err $i >&2; i=$((i+1)); done; cat /noise >&2; printf 'no line end'\n";

/// A megabyte and a half: random bytes, short lines, one very long line, escape sequences.
fn noise() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..65_536 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.extend("y\n".repeat(200_000).bytes());
    bytes.extend(std::iter::repeat_n(b'x', 600_000));
    bytes.extend_from_slice(b"\n\x1b[2J\x1b]0;title\x07\x1b[?1049h\r\n");
    bytes
}

fn expected(noise: &[u8]) -> Vec<u8> {
    let mut all = noise.to_vec();
    (0..300).for_each(|i| all.extend(format!("out {i}\nerr {i}\n").bytes()));
    all.extend_from_slice(noise);
    all.extend_from_slice(b"no line end");
    all
}

#[test]
fn output_is_kept_to_the_byte_and_in_order() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let noise = noise();
    sandbox.write("noise", &noise);
    let plain = sandbox.build(TALKS, &["--progress=plain"]).succeeded();
    let want = Sha256::digest(expected(&noise));
    let logs = |args: &[&str]| sandbox.rbuild(&[&["logs"], args].concat()).succeeded().bytes;
    assert_eq!(Sha256::digest(logs(&["--step", "2"])), want);
    // What is shown ends somewhere, and says where the rest is.
    assert!(plain.stderr.len() < 6 << 20, "{}", plain.stderr.len());
    assert!(plain.stderr.contains("rbuild logs --step 2 shows all of it"));
    // The same again of a cached step, and of another build that had it.
    let replayed = sandbox.build(TALKS, &["--progress=json", "--replay-logs"]).succeeded();
    let events = replayed.events();
    let texts: Vec<&str> =
        events.iter().filter(|e| e["type"] == "log").filter_map(|e| e["text"].as_str()).collect();
    let shown = texts.join("\n");
    assert!(shown.contains("out 0\nerr 0\nout 1\nerr 1\n") && shown.ends_with("no line end"));
    assert_eq!(Sha256::digest(logs(&["--build", "last", "--step", "2"])), want);
}

#[test]
fn nothing_of_a_failed_step_reaches_into_the_terminal() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let dockerfile =
        "FROM busybox\nRUN printf '\\033[2J\\033]0;title\\007\\033[1;31mred\\nlast\\n'; exit 1\n";
    let mut command = sandbox.command(&["build", "--progress=quiet", "."]);
    command.env("CLICOLOR_FORCE", "1");
    sandbox.write("Dockerfile", dockerfile);
    let out = crate::support::Outcome::of(command, &["build"]).ended_with(1);
    assert!(out.stderr.contains("\x1b[1;31mred\nlast\n\x1b[0m"), "{out}");
    assert!(!out.stderr.contains("\x1b[2J") && !out.stderr.contains("title\x07"), "{out}");
}
