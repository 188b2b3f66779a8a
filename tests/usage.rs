//! Help, versions, and what happens to arguments that make no sense.

use crate::support::Sandbox;

#[test]
fn help_names_every_command() {
    let sandbox = Sandbox::new();
    let help = sandbox.rbuild(&["--help"]).succeeded().stdout;
    for word in ["Common Commands:", "build", "run", "images", "Archives:", "load", "save", "system"] {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
    let help = sandbox.rbuild(&["build", "--help"]).succeeded().stdout;
    for flag in ["--build-arg", "--target", "--no-cache", "--progress", "--output", "--secret"] {
        assert!(help.contains(flag), "{flag} is not in\n{help}");
    }
}

#[test]
fn version() {
    let sandbox = Sandbox::new();
    let want = concat!("rbuild ", env!("CARGO_PKG_VERSION"), "\n");
    sandbox.rbuild(&["--version"]).succeeded().printing(want);
    let want = concat!(env!("CARGO_PKG_VERSION"), "\n");
    sandbox.rbuild(&["version", "--format", "{{.Version}}"]).succeeded().printing(want);
}

/// The codes are those of docker 28.
#[test]
fn wrong_arguments() {
    let sandbox = Sandbox::new();
    for (args, code, says) in [
        (&["build", "--frobnicate", "."][..], 125, "--frobnicate"),
        (&["--frobnicate"], 125, "--frobnicate"),
        (&["images", "--frobnicate"], 125, "--frobnicate"),
        (&["run", "--network", "bridge", "x"], 125, "bridge"),
        (&["run", "-v", "a:b", "x"], 125, "must be absolute"),
        (&["build"], 1, "PATH"),
        (&["run"], 1, "IMAGE"),
        (&["rmi"], 1, "IMAGE"),
        (&["nonsense"], 1, "nonsense"),
        (&["build", "--output", "type=nonsense", "."], 125, "nonsense"),
        (&["build", "-f", "-", "-"], 1, "stdin"),
    ] {
        sandbox.rbuild(args).ended_with(code).saying(says);
    }
    assert_eq!(sandbox.store_listing(), [""; 0], "nothing of this needs a store");
}
