//! Pulling and pushing, against Debian's `docker-registry` on loopback.

use crate::support::registry::{Registry, htpasswd};
use crate::support::{Outcome, Sandbox};

/// The ID of an image.
fn id(sandbox: &Sandbox, name: &str) -> String {
    sandbox.rbuild(&["images", "-q", "--no-trunc", name]).succeeded().stdout.trim().to_owned()
}

#[test]
fn what_was_pushed_is_pulled_with_the_same_id() {
    let Some(registry) = Registry::start(None) else { return };
    let name = format!("{}/team/busybox:1", registry.address);
    let here = Sandbox::with_busybox();
    here.rbuild(&["tag", "busybox", &name]).succeeded();
    let pushed = here.rbuild(&["push", &name]).succeeded();
    let repository = format!("The push refers to repository [{}/team/busybox]\n", registry.address);
    assert!(pushed.stdout.starts_with(&repository), "{pushed}");
    assert!(pushed.stdout.contains("\n1: digest: sha256:"), "{pushed}");
    assert!(pushed.stderr.contains(": Pushed\n"), "{pushed}");
    here.rbuild(&["push", &name]).succeeded().saying(": Layer already exists\n");
    here.rbuild(&["push", "-q", &name]).succeeded().printing(&format!("{name}\n"));

    let there = Sandbox::new();
    let pulled = there.rbuild(&["pull", &name]).succeeded();
    assert!(pulled.stdout.starts_with("1: Pulling from team/busybox\nDigest: sha256:"), "{pulled}");
    let status = format!("\nStatus: Downloaded newer image for {name}\n{name}\n");
    assert!(pulled.stdout.ends_with(&status), "{pulled}");
    assert!(pulled.stderr.contains(": Pull complete\n"), "{pulled}");
    assert_eq!(id(&there, &name), id(&here, &name));
    let digest = pulled.stdout.lines().find_map(|line| line.strip_prefix("Digest: ")).expect("a digest");
    for sandbox in [&here, &there] {
        let listed = sandbox.rbuild(&["images", "--digests", "--format", "{{.Digest}}", &name]).succeeded();
        assert_eq!(listed.stdout, format!("{digest}\n"));
        let known = sandbox.rbuild(&["inspect", "-f", "{{json .RepoDigests}}", &name]).succeeded();
        assert_eq!(known.stdout, format!("[\"{}/team/busybox@{digest}\"]\n", registry.address));
    }
    let again = there.rbuild(&["pull", &name]).succeeded();
    assert!(again.stdout.contains(&format!("Status: Image is up to date for {name}\n")), "{again}");
    there.rbuild(&["pull", "-q", &name]).succeeded().printing(&format!("{name}\n"));
}

#[test]
fn all_tags_of_a_repository() {
    let Some(registry) = Registry::start(None) else { return };
    let repository = format!("{}/x", registry.address);
    let here = Sandbox::with_busybox();
    for tag in ["a", "b"] {
        here.rbuild(&["tag", "busybox", &format!("{repository}:{tag}")]).succeeded();
    }
    here.rbuild(&["push", "-a", &repository]).succeeded();
    let there = Sandbox::new();
    there.rbuild(&["pull", "-a", &repository]).succeeded();
    for tag in ["a", "b"] {
        assert_eq!(id(&there, &format!("{repository}:{tag}")), id(&here, "busybox"));
    }
    there.rbuild(&["pull", "-a", &format!("{repository}:a")]).ended_with(1).saying("tag can't be used");
    there.rbuild(&["push", "-a", "nothing/here"]).ended_with(1).saying("does not exist locally");
    let found = there.rbuild(&["search", "--format", "{{.Name}}", &repository]).succeeded();
    assert_eq!(found.stdout, format!("{repository}\n"));
}

#[test]
fn transfers_are_told_as_objects() {
    let Some(registry) = Registry::start(None) else { return };
    let (name, copy) = (format!("{}/one:1", registry.address), format!("{}/two:1", registry.address));
    let here = Sandbox::new();
    here.build("FROM scratch\nCOPY Dockerfile /\n", &["-t", &name]).succeeded();
    here.rbuild(&["tag", &name, &copy]).succeeded();
    let states = |outcome: &Outcome| -> Vec<String> {
        let events = outcome.events();
        let layers = events.iter().filter(|event| event["type"] == "layer");
        layers.map(|event| event["state"].as_str().expect("text").to_owned()).collect()
    };
    let pushed = here.rbuild(&["push", "--progress=json", &name]).succeeded();
    assert_eq!(states(&pushed), ["compressing", "transferring", "pushed"], "{pushed}");
    let events = pushed.events();
    let bytes = events.iter().rfind(|event| event["type"] == "bytes").expect("bytes");
    assert!(bytes["done"] == bytes["total"] && bytes["image"] == *name, "{pushed}");
    let (first, last) = (&events[0], events.last().expect("an end"));
    assert!(first["type"] == "push" && last["type"] == "pushed", "{pushed}");
    assert!(pushed.stdout.contains(last["digest"].as_str().expect("a digest")), "{pushed}");
    assert_eq!(states(&here.rbuild(&["push", "--progress=json", &name]).succeeded()), ["exists"]);
    assert_eq!(states(&here.rbuild(&["push", "--progress=json", &copy]).succeeded()), ["mounted"]);

    let there = Sandbox::new();
    let pulled = there.rbuild(&["pull", "--progress=json", &name]).succeeded();
    assert_eq!(states(&pulled), ["waiting", "transferring", "done"], "{pulled}");
    let end = pulled.events().pop().expect("an end");
    assert!(end["type"] == "pulled" && end["new"] == true && end["digest"] == last["digest"], "{pulled}");
    let failed = there.rbuild(&["pull", "--progress=json", &format!("{name}2")]).ended_with(1);
    assert_eq!(failed.events().pop().expect("an end")["type"], "error", "{failed}");
    let built =
        there.build("FROM scratch\nCOPY Dockerfile /x\n", &["-t", &copy, "--push", "--progress=json"]);
    assert_eq!(built.succeeded().events().pop().expect("an end")["type"], "pushed");
}

#[test]
fn a_build_pulls_its_base_and_pushes_its_image() {
    let Some(registry) = Registry::start(None) else { return };
    let base = format!("{}/base:1", registry.address);
    let other = Sandbox::with_busybox();
    other.rbuild(&["tag", "busybox", &base]).succeeded();
    other.rbuild(&["push", "-q", &base]).succeeded();

    let sandbox = Sandbox::new();
    let dockerfile = format!(
        "FROM scratch AS a\nCOPY --from={base} /bin/sh /sh\nFROM {base}\nCOPY --from=a /sh /copied\n"
    );
    let name = format!("{}/made", registry.address);
    let built = sandbox.build(&dockerfile, &["-t", &name, "--push"]).succeeded();
    assert!(built.stderr.contains(&format!("#0 pulling {base}\n")), "{built}");
    assert_eq!(built.stderr.matches("#0 pulling").count(), 1, "{built}");
    assert!(built.stderr.contains(&format!("pushed {name}:latest digest: sha256:")), "{built}");

    let again = sandbox.build(&dockerfile, &["-t", &name]).succeeded();
    assert!(!again.stderr.contains("#0 pulling"), "{again}");
    let asked = sandbox.build(&dockerfile, &["-t", &name, "--pull"]).succeeded();
    assert!(asked.stderr.contains("#0 pulling"), "{asked}");
    let third = Sandbox::new();
    third.rbuild(&["pull", "-q", &name]).succeeded();
    assert_eq!(id(&third, &name), id(&sandbox, &name));
}

#[test]
fn run_pulls_what_is_missing() {
    let Some(registry) = Registry::start(None) else { return };
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let name = format!("{}/tool:1", registry.address);
    sandbox.rbuild(&["tag", "busybox", &name]).succeeded();
    sandbox.rbuild(&["push", "-q", &name]).succeeded();
    let there = Sandbox::new();
    there.rbuild(&["run", "--rm", "--pull", "never", &name, "true"]).ended_with(125).saying("No such image");
    let ran = there.rbuild(&["run", "--rm", &name, "echo", "hello"]).succeeded();
    assert_eq!(ran.stdout, "hello\n", "{ran}");
    assert!(ran.stderr.contains(&format!("Unable to find image '{name}' locally\n")), "{ran}");
    let again = there.rbuild(&["run", "--rm", &name, "echo", "hello"]).succeeded();
    assert_eq!(again.stderr, "", "{again}");
    there.rbuild(&["run", "--rm", "--pull", "always", &name, "true"]).succeeded().saying("up to date");
}

#[test]
fn logins() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(registry) = Registry::start(Some(&htpasswd(folder.path()))) else { return };
    let sandbox = Sandbox::with_busybox();
    let name = format!("{}/private:1", registry.address);
    sandbox.rbuild(&["tag", "busybox", &name]).succeeded();
    sandbox.rbuild(&["push", &name]).ended_with(1).saying("denied");
    let login = ["login", "-u", "user", "--password-stdin", &registry.address];
    sandbox.rbuild_with_input(&login, b"wrong\n").ended_with(1).saying("incorrect username or password");
    let done = sandbox.rbuild_with_input(&login, b"secret\n").succeeded();
    assert_eq!(done.stdout, "Login Succeeded\n", "{done}");
    let file = sandbox.home().join(".docker/config.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("the file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    sandbox.rbuild(&["push", "-q", &name]).succeeded();
    sandbox.rbuild(&["login", &registry.address]).succeeded().saying("stored unencrypted");
    sandbox.rbuild(&["logout", &registry.address]).succeeded();
    sandbox.rbuild(&["pull", &name]).ended_with(1).saying("denied");
}

#[test]
fn mistakes_in_logins_and_settings() {
    let sandbox = Sandbox::new();
    for (args, says) in [
        (&["login", "--password-stdin", "x"][..], "requires --username"),
        (&["login", "-u", "u", "-p", "p", "--password-stdin", "x"], "cannot specify both"),
        (&["login", "-u", "u", "x"], "non TTY device"),
        (&["search", "--limit", "0", "x"], "outside the range"),
        (&["push", "x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"], "digest"),
    ] {
        sandbox.rbuild(args).ended_with(1).saying(says);
    }
    sandbox.build("FROM scratch\nCOPY Dockerfile /\n", &["--push"]).ended_with(1).saying("tag is needed");
    let config = sandbox.home().join(".config/rbuild/config.json");
    std::fs::create_dir_all(config.parent().expect("a folder")).expect("a folder");
    std::fs::write(&config, r#"{"mirrors": []}"#).expect("a file");
    sandbox.rbuild(&["pull", "x"]).ended_with(1).saying("rbuild/config.json: unknown field `mirrors`");
}

/// Whether there is a network or not: this name is reserved for not being there (RFC 6761).
#[test]
fn a_registry_that_is_not_there_is_found_out_at_once() {
    let sandbox = Sandbox::new();
    let begun = std::time::Instant::now();
    let sentence = "r.invalid/x: failed to resolve source metadata for r.invalid/x:latest: ";
    sandbox.build("FROM r.invalid/x\n", &[]).ended_with(1).saying(sentence);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}
