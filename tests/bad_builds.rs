//! Builds that cannot work: the message, the line, the code, and a store as it was.

use crate::support::Sandbox;

#[test]
fn mistakes_in_the_file_are_shown_with_their_line() {
    let sandbox = Sandbox::with_busybox();
    let before = sandbox.store_listing();
    for (dockerfile, line, says) in [
        (
            "FROM scratch\nFNTRYPOINT x\n",
            "Dockerfile:2",
            "unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)",
        ),
        ("FROM scratch\nCOPY <<E /x\nbody\n", "Dockerfile:2", "unterminated heredoc"),
        ("FROM scratch\n\nCOPY --frm=x a b\n", "Dockerfile:3", "unknown flag: --frm"),
        (
            "FROM a AS b\nFROM b AS a\nCOPY --from=c / /\nFROM a AS c\n",
            "Dockerfile",
            "ERROR: failed to solve",
        ),
        ("FROM nothing-here:1\nRUN x\n", "Dockerfile:1", "nothing-here:1"),
        ("FROM scratch\nCOPY missing /x\n", "Dockerfile:2", "\"/missing\": not found"),
        ("", "", "the Dockerfile cannot be empty"),
    ] {
        let outcome =
            sandbox.build(dockerfile, &[]).ended_with(1).saying(says).saying("ERROR: failed to solve: ");
        assert!(outcome.stderr.contains(line), "{line}: {outcome}");
        assert_eq!(outcome.stdout, "");
    }
    assert_eq!(sandbox.store_listing(), before);
}

#[test]
fn a_missing_context_or_dockerfile() {
    let sandbox = Sandbox::new();
    sandbox.rbuild(&["build", "."]).ended_with(1).saying("failed to read dockerfile");
    sandbox.rbuild(&["build", "nowhere"]).ended_with(1).saying("nowhere");
    sandbox.rbuild(&["build", "-f", "nothing", "."]).ended_with(1).saying("nothing");
}

#[test]
fn a_step_that_fails_shows_its_output_and_code() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let outcome = sandbox.build("FROM busybox\nRUN echo last words; exit 3\n", &[]).ended_with(1);
    let outcome =
        outcome.saying("last words").saying("Dockerfile:2").saying(">>> RUN echo last words; exit 3");
    outcome.saying("did not complete successfully: exit code: 3");
    let outcome =
        sandbox.build("FROM busybox\nRUN kill -9 $$\n", &["--progress=json"]).ended_with(1).saying("137");
    let error = outcome.events().pop().expect("events");
    assert_eq!((&error["type"], &error["line"]), (&"error".into(), &2.into()), "{outcome}");
    assert_eq!(outcome.steps(), [("RUN kill -9 $$".to_owned(), "failed".to_owned())]);
}
